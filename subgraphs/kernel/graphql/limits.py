"""What a document may ask of a subgraph, and of the live door, and what its answer may have."""

MAX_DEPTH = 12
"""The deepest useful path (connections inside connections) is 9."""

MAX_TOKENS = 2_000
MAX_ALIASES = 30

MAX_QUERY_COST = 50_000
"""Of all series in one request: 2 s of the event loop and 100 MB where each is an object."""
