"""Edge authz: authenticates a request and returns its signed viewer.

Envoy sends it a check for every GraphQL request, the subscription gateway one for every client. It
reads a session token or a site key and returns the `x-proofgraph-viewer` header, which subgraphs
trust.

    authenticator    from a request's credential to its viewer
    lookup_cache     the cache between the authenticator and PostgreSQL
    signed_viewers   viewers signed lately
    protocol         answers checks of known credentials from memory
    service, app     the HTTP service, and its process
"""
