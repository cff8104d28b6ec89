"""Converts each outside system's webhooks to source events: bytes in, events out, no I/O."""

from subgraphs.kernel.errors import BadUserInput


class Unreadable(BadUserInput):
    """The body does not have the shape its sender documents; the merchant sees the message."""
