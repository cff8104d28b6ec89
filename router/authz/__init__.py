"""The edge authz: turns what a client shows into a signed viewer.

Envoy asks it for every GraphQL request, the live door for every subscriber. It reads a session
token or a site key, and answers with the `x-proofgraph-viewer` header that subgraphs trust.
"""
