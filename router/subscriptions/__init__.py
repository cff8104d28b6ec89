"""Subscription gateway: the subscription half of the router.

It serves the supergraph's API schema over graphql-transport-ws and GraphQL over SSE. For each
distinct operation it opens one subscription at the owning subgraph, and sends every result to all
its subscribers: a result is executed once (there) and encoded once (here).

    documents        parsing and validation of a client's document
    subgraph_query   the document sent to the owning subgraph
    subgraph_client  one subscription at a subgraph, reconnected after failures
    feed             the replay buffer of one distinct operation, and its subscribers
    feed_registry    the feeds by operation and principal
    authentication   the principal of a client, from the edge authz
    service          one request: a subscription from a feed, any other operation from the router
    ws, sse          the two transports
"""
