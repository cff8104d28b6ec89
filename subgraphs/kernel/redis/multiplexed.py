"""One connection to Redis on which requests follow each other without waiting for the answers.

redis-py gives a connection to one caller at a time, so appends would wait for each other's fsync.
Here they are written in the order they were asked for and answered in that order; several of them
share what the server does in one turn. What was under way when a connection broke may or may not
have been done; its callers hear that.
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

_LOOKS = 4
"""How often within its time limit a request under way is looked at."""


class _Asked(NamedTuple):
    answer: asyncio.Future[list[Any]]
    wanted: int
    """Replies that make up the answer."""
    replies: list[Any]
    since: float


class RedisPipeline:
    """Connects when first asked, and anew after a break.

    Args:
        client: its address, credentials and time limit are taken.
        scripts: texts the server is told at every connecting, so that it knows them by their hash.
    """

    def __init__(self, client: Redis, scripts: Sequence[str]) -> None:
        self._pool = client.connection_pool
        self._scripts = scripts
        self._seconds = float(self._pool.connection_kwargs.get("socket_timeout") or 5.0)
        self._link: _Link | None = None
        self._turn = asyncio.Lock()

    async def ask(self, packed: bytes, count: int) -> list[Any]:
        """Send requests, packed, and wait for their replies; an error reply is one of them.

        Raises:
            redis.exceptions.ConnectionError, TimeoutError: the server is away, or does not know a
                script any more; it may have done what it was asked.
        """
        if not count:
            return []
        link = self._link
        if link is None or not link.is_open or self._turn.locked():
            link = await self._connected()
        replies = await link.ask(packed, count)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            link.end(RedisConnectionError("the server has forgotten our scripts"))
            raise RedisConnectionError("the server has forgotten our scripts")
        return replies

    async def close(self) -> None:
        if self._link is not None:
            self._link.end(RedisConnectionError("closed by us"))
            self._link = None

    async def _connected(self) -> "_Link":
        try:
            # Whoever waits for another's connecting has no more time than that one.
            async with asyncio.timeout(self._seconds), self._turn:
                if self._link is None or not self._link.is_open:
                    self._link = await self._connect()
                return self._link
        except TimeoutError as error:
            raise RedisTimeoutError("the server does not let us in") from error
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
        greeting: list[tuple[Any, ...]] = [("SCRIPT", "LOAD", text) for text in self._scripts]
        if at.get("db"):
            greeting.insert(0, ("SELECT", at["db"]))
        if at.get("password"):
            greeting.insert(0, ("AUTH", at.get("username") or "default", at["password"]))
        packed = b"".join(map(pack, greeting))
        for reply in await made.ask(packed, len(greeting)):
            if isinstance(reply, Exception):
                made.end(RedisConnectionError(str(reply)))
                raise RedisConnectionError(str(reply))
        return made


class _Link(asyncio.Protocol):
    """One connection, until it breaks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(replyError=_error_of)
        self._asked: deque[_Asked] = deque()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def ask(self, packed: bytes, count: int) -> list[Any]:
        if self._transport is None:
            raise RedisConnectionError("the connection has gone")
        asked = _Asked(self._loop.create_future(), count, [], self._loop.time())
        self._asked.append(asked)
        self._transport.write(packed)
        if self._watch is None:
            self._watch = self._loop.call_later(self._seconds / _LOOKS, self._look)
        return await asked.answer

    def end(self, reason: Exception) -> None:
        """Give up; whoever waits hears the reason."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        while self._asked:
            answer = self._asked.popleft().answer
            if not answer.done():
                answer.set_exception(reason)

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.end(RedisConnectionError(f"the connection broke: {error}"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._asked and (reply := self._reader.gets()) is not False:
            asked = self._asked[0]
            asked.replies.append(reply)
            if len(asked.replies) == asked.wanted:
                self._asked.popleft()
                if not asked.answer.done():  # its caller may have gone away meanwhile
                    asked.answer.set_result(asked.replies)

    def _look(self) -> None:
        self._watch = None
        if not self._asked:
            return
        if self._loop.time() - self._asked[0].since > self._seconds:
            self.end(RedisTimeoutError(f"no answer within {self._seconds:g} s"))
        else:
            self._watch = self._loop.call_later(self._seconds / _LOOKS, self._look)


def pack(command: tuple[Any, ...]) -> bytes:
    """A request as bytes; hiredis does in C what redis-py does in Python."""
    packed: bytes = hiredis.pack_command(command)
    return packed


def _error_of(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)
