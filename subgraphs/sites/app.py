"""The sites subgraph as a process of its own."""

from subgraphs.kernel.graphql.app import create_app
from subgraphs.sites.schema import schema

app = create_app({"sites": schema})
