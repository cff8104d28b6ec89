"""The sites subgraph as its own ASGI app, for `SPLIT=1`."""

from subgraphs.kernel.graphql.app import create_app
from subgraphs.sites.schema import schema

app = create_app({"sites": schema})
