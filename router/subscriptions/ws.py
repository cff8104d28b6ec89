"""graphql-transport-ws, the protocol of `graphql-ws`, `gql` and most others.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from router.subscriptions.authentication import VOUCH_SECONDS, Caller, Unavailable
from router.subscriptions.documents import Refused
from router.subscriptions.feed import TooSlow
from router.subscriptions.service import Request, Service
from subgraphs.kernel import cancellation

log = logging.getLogger(__name__)

PROTOCOL = "graphql-transport-ws"

INIT_SECONDS = 10
"""A client says who it is at once, or is let go."""

STALL_SECONDS = 15
"""A client whose connection takes nothing for so long does not read."""

CLOSE_SECONDS = 30
"""How long one who does not read may take to have our close behind what is still on its way."""

MAX_OPERATIONS = 50
MAX_MESSAGE = 64 * 1024

TOO_SLOW = 4290
"""Ours: the client does not read; it may come back with its last cursor as `after`."""


class Close(Exception):
    """The connection ends, with a code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Message(msgspec.Struct):
    """What a client sends."""

    type: str
    id: str = ""
    payload: Any = None


_decoder = msgspec.json.Decoder(Message)


async def serve(socket: WebSocket, service: Service) -> None:
    """One connection, from the handshake to the close."""
    if PROTOCOL not in socket.scope["subprotocols"]:
        await socket.close(4406, "Subprotocol not acceptable: use graphql-transport-ws")
        return
    await socket.accept(PROTOCOL)
    connection = _Connection(socket, service)
    try:
        await connection.run()
    except Close as close:
        await connection.close(close)
    except Unavailable as error:
        log.warning("a connection was put off: %s", error)
        await connection.close(Close(1013, "Try again later"))
    except (WebSocketDisconnect, OSError):
        pass
    except Exception:
        log.exception("a connection broke")
        await connection.close(Close(1011, "Something went wrong on our side; come back"))
    finally:
        await connection.end()


class _Connection:
    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket = socket
        self._service = service
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._caller: Caller | None = None
        self._fatal: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self._vouching: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                await self._greet()
        except TimeoutError:
            raise Close(4408, "Connection initialisation timeout") from None
        self._vouching = asyncio.create_task(self._vouch())
        while True:
            receiving = asyncio.ensure_future(self._receive())
            both: list[asyncio.Future[Any]] = [receiving, self._fatal]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._fatal.done():
                receiving.cancel()
                raise self._fatal.result()
            await self._handle(receiving.result())

    async def close(self, close: Close) -> None:
        await self.end()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(close.code, close.reason)
        except (TimeoutError, RuntimeError, OSError):
            pass  # it is gone already, or takes nothing more

    async def end(self) -> None:
        vouching = [self._vouching] if self._vouching else []
        await cancellation.cancel_and_wait(*self._operations.values(), *vouching)

    async def _receive(self) -> Message:
        try:
            text = await self._socket.receive_text()
        except KeyError as error:
            raise Close(4400, "Invalid message: text is understood, no binary") from error
        if len(text) > MAX_MESSAGE:
            raise Close(4400, "Message too large")
        try:
            return _decoder.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Close(4400, f"Invalid message: {error}") from error

    async def _greet(self) -> None:
        message = await self._receive()
        while message.type in ("ping", "pong"):
            await self._handle(message)
            message = await self._receive()
        if message.type != "connection_init":
            raise Close(4401, "Unauthorized")
        init = message.payload if isinstance(message.payload, dict) else {}
        try:
            self._caller = await self._service.authz.caller(self._socket.headers, init)
        except Refused as refused:
            raise Close(4403, f"Forbidden: {refused}") from refused
        await self._say(b'{"type":"connection_ack"}')

    async def _handle(self, message: Message) -> None:
        match message.type:
            case "subscribe" if self._caller:
                self._start(self._caller, message)
            case "complete":
                if task := self._operations.pop(message.id, None):
                    await cancellation.cancel_and_wait(task)
            case "ping":
                await self._say(b'{"type":"pong"}')
            case "pong":
                pass
            case "connection_init":
                raise Close(4429, "Too many initialisation requests")
            case _:
                raise Close(4400, f"Invalid message type: {message.type}")

    def _start(self, caller: Caller, message: Message) -> None:
        if not message.id:
            raise Close(4400, "A subscribe message needs an id")
        if message.id in self._operations:
            raise Close(4409, f"Subscriber for {message.id} already exists")
        if len(self._operations) >= MAX_OPERATIONS:
            raise Close(4429, "Too many operations on one connection")
        try:
            request = msgspec.convert(message.payload, Request)
        except msgspec.ValidationError as error:
            raise Close(4400, f"Invalid message: {error}") from error
        task = asyncio.create_task(self._operate(caller, message.id, request))
        self._operations[message.id] = task

    async def _operate(self, caller: Caller, id_: str, request: Request) -> None:
        quoted = msgspec.json.encode(id_)
        before = b'{"id":' + quoted + b',"type":"next","payload":'
        try:
            async with aclosing(self._service.results(caller, request)) as results:
                async for payloads in results:
                    for payload in payloads:
                        await self._say(before + payload + b"}")
            await self._say(b'{"id":' + quoted + b',"type":"complete"}')
        except Refused as refused:
            errors = msgspec.json.encode(refused.errors)
            await self._say(b'{"id":' + quoted + b',"type":"error","payload":' + errors + b"}")
        except (TooSlow, TimeoutError):
            self._end_with(Close(TOO_SLOW, "Too slow: resume with your last cursor as `after`"))
        except (WebSocketDisconnect, OSError, RuntimeError):
            pass  # the client went away; whoever receives notices
        except Exception:
            log.exception("an operation broke")
            self._end_with(Close(1011, "Something went wrong on our side; come back"))
        finally:
            # The id may be another operation's by now.
            if self._operations.get(id_) is asyncio.current_task():
                del self._operations[id_]

    async def _vouch(self) -> None:
        """End the connection once its credential is no longer good."""
        if self._caller:
            refused = await self._caller.until_revoked(VOUCH_SECONDS)
            self._end_with(Close(4403, f"Forbidden: {refused}"))

    async def _say(self, frame: bytes) -> None:
        async with asyncio.timeout(STALL_SECONDS):
            await self._socket.send_text(frame.decode())

    def _end_with(self, close: Close) -> None:
        if not self._fatal.done():
            self._fatal.set_result(close)
