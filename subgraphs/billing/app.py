"""The billing subgraph as a process of its own."""

from subgraphs.billing.schema import schema
from subgraphs.kernel.graphql.app import create_app

app = create_app({"billing": schema})
