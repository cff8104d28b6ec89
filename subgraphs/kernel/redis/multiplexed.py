"""A multiplexed connection to Redis: requests are sent without waiting for earlier replies.

redis-py gives a connection to one caller at a time, so appends would wait for each other's fsync.
Here requests are written in the order of their calls and share one fsync of the server. When the
connection breaks, the requests under way may or may not have been executed; their callers get an
error.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import hiredis
from redis.asyncio import Redis, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_TIMEOUT_CHECKS = 4
"""Checks of the oldest request within its timeout."""


class _Request(NamedTuple):
    result: asyncio.Future[list[Any]]
    expected: int
    """Number of replies that complete the request."""
    replies: list[Any]
    sent_at: float


class MultiplexedConnection:
    """Connects at the first request, and again after the connection broke.

    Args:
        client: gives the address, the credentials and the timeout.
        scripts: Lua texts that are loaded after each connect, so that EVALSHA finds them.
    """

    def __init__(self, client: Redis, scripts: Sequence[str]) -> None:
        self._pool = client.connection_pool
        self._scripts = scripts
        self._seconds = float(self._pool.connection_kwargs.get("socket_timeout") or 5.0)
        self._link: _Link | None = None
        self._turn = asyncio.Lock()

    async def request(self, packed: bytes, count: int) -> list[Any]:
        """Sends `count` packed commands and returns their replies, error replies included.

        Raises:
            redis.exceptions.ConnectionError, TimeoutError: the server is unavailable, or has lost
                a script. It may have executed the commands.
        """
        if not count:
            return []
        link = self._link
        if link is None or not link.is_open or self._turn.locked():
            link = await self._connected()
        replies = await link.request(packed, count)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            error = RedisConnectionError("the server has lost the scripts")
            link.end(error)
            raise error
        return replies

    async def close(self) -> None:
        if self._link is not None:
            self._link.end(RedisConnectionError("the connection was closed by its owner"))
            self._link = None

    async def _connected(self) -> "_Link":
        try:
            # A caller that waits for another caller's connect shares that one's timeout.
            async with asyncio.timeout(self._seconds), self._turn:
                if self._link is None or not self._link.is_open:
                    self._link = await self._connect()
                return self._link
        except TimeoutError as error:
            raise RedisTimeoutError(f"no connection within {self._seconds:g} s") from error
        except OSError as error:
            raise RedisConnectionError(str(error)) from error

    async def _connect(self) -> "_Link":
        loop, at = asyncio.get_running_loop(), self._pool.connection_kwargs
        kind = self._pool.connection_class
        if issubclass(kind, UnixDomainSocketConnection):
            _, made = await loop.create_unix_connection(lambda: _Link(self._seconds), at["path"])
        else:
            tls = ssl.create_default_context() if issubclass(kind, SSLConnection) else None
            host, port = at.get("host", "localhost"), at.get("port", 6379)
            _, made = await loop.create_connection(
                lambda: _Link(self._seconds), host, port, ssl=tls
            )
        handshake: list[tuple[Any, ...]] = [("SCRIPT", "LOAD", text) for text in self._scripts]
        if at.get("db"):
            handshake.insert(0, ("SELECT", at["db"]))
        if at.get("password"):
            handshake.insert(0, ("AUTH", at.get("username") or "default", at["password"]))
        packed = b"".join(map(pack, handshake))
        for reply in await made.request(packed, len(handshake)):
            if isinstance(reply, Exception):
                made.end(RedisConnectionError(str(reply)))
                raise RedisConnectionError(str(reply))
        return made


class _Link(asyncio.Protocol):
    """One TCP connection, until it breaks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(replyError=_reply_error)
        self._requests: deque[_Request] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def request(self, packed: bytes, count: int) -> list[Any]:
        if self._transport is None:
            raise RedisConnectionError("the connection is closed")
        request = _Request(self._loop.create_future(), count, [], self._loop.time())
        self._requests.append(request)
        self._transport.write(packed)
        if self._timer is None:
            self._schedule_check()
        return await request.result

    def end(self, reason: Exception) -> None:
        """Closes the connection; the requests under way fail with the reason."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        while self._requests:
            result = self._requests.popleft().result
            if not result.done():
                result.set_exception(reason)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.end(RedisConnectionError(f"the connection broke: {error}"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._requests and (reply := self._reader.gets()) is not False:
            request = self._requests[0]
            request.replies.append(reply)
            if len(request.replies) == request.expected:
                self._requests.popleft()
                if not request.result.done():  # a cancelled caller's future is done
                    request.result.set_result(request.replies)

    def _schedule_check(self) -> None:
        self._timer = self._loop.call_later(self._seconds / _TIMEOUT_CHECKS, self._check_timeout)

    def _check_timeout(self) -> None:
        self._timer = None
        if not self._requests:
            return
        if self._loop.time() - self._requests[0].sent_at > self._seconds:
            self.end(RedisTimeoutError(f"no reply within {self._seconds:g} s"))
        else:
            self._schedule_check()


def pack(command: tuple[Any, ...]) -> bytes:
    """Returns a command as bytes; hiredis packs in C what redis-py packs in Python."""
    packed: bytes = hiredis.pack_command(command)
    return packed


def _reply_error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)
