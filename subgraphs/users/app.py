"""The users subgraph as a process of its own."""

from subgraphs.kernel.graphql.app import create_app
from subgraphs.users.schema import schema

app = create_app({"users": schema})
