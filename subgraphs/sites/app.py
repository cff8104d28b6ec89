"""The sites subgraph as a process of its own."""

from subgraphs.kernel.app import create_app
from subgraphs.sites.schema import schema

app = create_app({"sites": schema})
