"""The billing subgraph as its own ASGI app, for `SPLIT=1`."""

from subgraphs.billing.schema import schema
from subgraphs.kernel.graphql.app import create_app

app = create_app({"billing": schema})
