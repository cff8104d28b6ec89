"""The integrations subgraph as a process of its own."""

from subgraphs.integrations.schema import schema
from subgraphs.kernel.graphql.app import create_app

app = create_app({"integrations": schema})
