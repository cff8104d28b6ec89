"""GraphQL for every subgraph: the app, the schema, request context, loaders, paging and limits."""
