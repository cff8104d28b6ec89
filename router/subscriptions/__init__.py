"""Subscription gateway: the subscription half of the router.

It serves the supergraph's API schema over graphql-transport-ws and GraphQL over SSE. For each
distinct operation it opens one subscription at the owning subgraph, and sends every result to all
its subscribers: a result is executed once (there) and encoded once (here).

    __main__, server  the process: start and graceful shutdown
    gateway           routes a request: WebSocket, event stream, health
    http_connection   reads HTTP requests; responses encodes answers
    ws, sse           the two transports; client_connection is their base
    websocket_frames  the codec and handshake of `websockets`, without its connection object
    ticker            one timer for the pings of all connections
    service           what a request needs: parser, feeds, authz, router
    authentication    the principal of a client, from the edge authz
    operation         one operation of a client: replay in a task, then live without one
    documents         parsing and validation of a client's document
    subgraph_query    the document sent to the owning subgraph
    entity_*          fields of other subgraphs: split from the document, fetched by the router
    subgraph_client   one subscription at a subgraph, reconnected after failures
    feed_registry     the feeds by operation and principal
    feed              the results of one distinct operation; result_buffer keeps the latest
    fan_out           writes new results to all live subscribers of a feed
"""
