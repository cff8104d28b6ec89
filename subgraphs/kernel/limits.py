"""What a document may ask of a subgraph, and of the live door."""

MAX_DEPTH = 12
"""The deepest useful path (connections inside connections) is 9."""

MAX_TOKENS = 2_000
MAX_ALIASES = 30
