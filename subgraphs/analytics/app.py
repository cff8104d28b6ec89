"""The ASGI app of the analytics subgraph."""

from subgraphs.analytics.schema import schema
from subgraphs.kernel.graphql.app import create_app

app = create_app({"analytics": schema})
