"""One HTTP request to the ingest endpoint."""

from typing import Protocol


class ResponseQueue(Protocol):
    """The connection of a request."""

    def flush(self) -> None:
        """Send the responses whose turn has come."""


class HttpRequest:
    """A request that is answered once."""

    __slots__ = (
        "_connection",
        "agent",
        "body",
        "country",
        "is_last",
        "method",
        "origin",
        "response",
        "target",
    )

    def __init__(self, connection: ResponseQueue, target: bytes) -> None:
        self._connection = connection
        self.target = target
        self.method = b""
        self.origin: bytes | None = None
        self.agent = self.country = b""
        self.body: bytes | bytearray = b""
        self.is_last = False
        """Whether the connection closes after the response."""
        self.response: bytes | None = None

    def release_input(self) -> None:
        """Drop the body and headers. Hundreds of requests wait for the disk at a time, and memory
        that is reused at once stays in the processor's cache."""
        self.agent = self.country = self.body = b""

    def answer(self, response: bytes) -> None:
        """Send the response in the request's turn; does nothing if the client has disconnected."""
        self.response = response
        self._connection.flush()
