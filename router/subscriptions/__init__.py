"""The live door: the subscription half of the router.

Serves the supergraph's own API schema over graphql-transport-ws and GraphQL over SSE. It asks the
subgraph that owns a subscription once for each distinct operation, and hands every answer to all
who asked the same. An answer is executed once (there) and encoded once (here).

    documents   what a client may ask, and how the owner is asked for it
    viewers     who is asking: the same authz the edge asks
    upstream    one subscription at a subgraph, kept alive
    feed        what a distinct operation has answered lately, and who follows it
    ws, sse     the two ways in
"""
