"""The users subgraph as its own ASGI app, for `SPLIT=1`."""

from subgraphs.kernel.graphql.app import create_app
from subgraphs.users.schema import schema

app = create_app({"users": schema})
