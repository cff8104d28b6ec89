"""What each outside system sends, read into source events. Pure: bytes in, events out."""

from subgraphs.kernel.errors import BadUserInput


class Unreadable(BadUserInput):
    """A webhook whose content is not what its sender documents; the merchant reads the message."""
