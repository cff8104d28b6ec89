"""The notifications subgraph as a process of its own."""

from subgraphs.kernel.graphql.app import create_app
from subgraphs.notifications.schema import schema

app = create_app({"notifications": schema})
