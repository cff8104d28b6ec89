"""The users subgraph as a process of its own."""

from subgraphs.kernel.app import create_app
from subgraphs.users.schema import schema

app = create_app({"users": schema})
