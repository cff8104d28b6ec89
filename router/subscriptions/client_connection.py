"""One client's connection: writes without waiting, and ends a client that reads too slowly."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from router.subscriptions.authentication import Principal
from router.subscriptions.documents import RequestRejected

if TYPE_CHECKING:
    from router.subscriptions.operation import Operation

STALL_SECONDS = 15
"""How long a client may leave what is written unread before it counts as too slow."""


class ClientConnection(asyncio.Protocol):
    """The base of both transports. An idle one holds no buffer, no timer and no task."""

    __slots__ = (
        "_drained",
        "_stall_timer",
        "_transport",
        "is_paused",
        "principal",
    )

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self.is_paused = False
        """Whether the client reads more slowly than we write; write no more until it is False."""
        self._stall_timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        self.principal: Principal | None = None

    # For operations.

    def write(self, data: bytes) -> None:
        """Writes without waiting; the transport keeps what the socket does not take."""
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Returns once the client has read enough; a client that stalls is ended meanwhile."""
        while self.is_paused:
            self._drained = self._drained or asyncio.Event()
            await self._drained.wait()

    def reject(self, operation: "Operation", rejected: RequestRejected) -> None:
        """Sends errors in place of an operation's further results."""
        raise NotImplementedError

    def complete(self, operation: "Operation") -> None:
        """Tells the client that an operation has no further results."""
        raise NotImplementedError

    def release(self, operation: "Operation") -> None:
        """Forgets an operation that has ended."""
        raise NotImplementedError

    def end_slow(self) -> None:
        """Ends the connection of a client that reads too slowly."""
        raise NotImplementedError

    def end_failed(self) -> None:
        """Ends the connection after an error of ours."""
        raise NotImplementedError

    def revoke(self, rejected: RequestRejected) -> None:
        """Ends the connection: its credential is no longer valid."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """Ends the connection because the server stops."""
        raise NotImplementedError

    def live_operations(self) -> Iterable["Operation"]:
        """Returns the operations that may have missed results while the client was slow."""
        raise NotImplementedError

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._resume()

    def pause_writing(self) -> None:
        self.is_paused = True
        loop = asyncio.get_running_loop()
        self._stall_timer = loop.call_later(STALL_SECONDS, self.end_slow)

    def resume_writing(self) -> None:
        self._resume()
        for operation in tuple(self.live_operations()):
            operation.catch_up()

    def abort(self) -> None:
        """Closes at once; what the client has not read is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _resume(self) -> None:
        self.is_paused = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _leave_principal(self) -> None:
        if self.principal is not None:
            self.principal.detach(self)
            self.principal = None
