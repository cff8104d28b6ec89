"""The notifications subgraph as its own ASGI app, for `SPLIT=1`."""

from subgraphs.kernel.graphql.app import create_app
from subgraphs.notifications.schema import schema

app = create_app({"notifications": schema})
