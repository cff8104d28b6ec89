"""GraphQL over WebSocket: graphql-transport-ws, the protocol of `graphql-ws`, `gql` and others.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from router.subscriptions.authentication import REVALIDATE_SECONDS, Principal
from router.subscriptions.documents import RequestRejected
from router.subscriptions.feed import SlowSubscriber
from router.subscriptions.service import GraphQLRequest, Service
from subgraphs.kernel import cancellation
from subgraphs.kernel.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

PROTOCOL = "graphql-transport-ws"

INIT_SECONDS = 10
"""How long a client may take to send `connection_init`."""

STALL_SECONDS = 15
"""How long one send may block before the client counts as too slow."""

CLOSE_SECONDS = 30
"""How long the close frame may wait behind data that the client has not read."""

MAX_REASON_BYTES = 123
"""The WebSocket protocol's limit for a close reason."""

MAX_OPERATIONS = 50
MAX_MESSAGE = 64 * 1024

TOO_SLOW = 4290
"""Close code of our own: the client reads too slowly; it can resume with its last cursor."""


class CloseConnection(Exception):
    """Ends the connection with a close code and reason of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ClientMessage(msgspec.Struct):
    """A message from a client."""

    type: str
    id: str = ""
    payload: Any = None


_decoder = msgspec.json.Decoder(ClientMessage)


async def serve(socket: WebSocket, service: Service) -> None:
    """Serves one connection, from the handshake to the close."""
    if PROTOCOL not in socket.scope["subprotocols"]:
        await socket.close(4406, "Subprotocol not acceptable: use graphql-transport-ws")
        return
    await socket.accept(PROTOCOL)
    connection = _Connection(socket, service)
    try:
        await connection.run()
    except CloseConnection as close:
        await connection.close(close)
    except Unavailable as error:
        log.warning("authentication_unavailable", error=str(error))
        await connection.close(
            CloseConnection(1013, "The service does not answer; connect again in a few seconds")
        )
    except (WebSocketDisconnect, OSError):
        pass
    except Exception:
        log.exception("websocket_connection_failed")
        await connection.close(
            CloseConnection(1011, "Something went wrong on our side; connect again")
        )
    finally:
        await connection.end()


class _Connection:
    def __init__(self, socket: WebSocket, service: Service) -> None:
        self._socket = socket
        self._service = service
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._principal: Principal | None = None
        self._fatal: asyncio.Future[CloseConnection] = asyncio.get_running_loop().create_future()
        self._revalidation: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS):
                await self._initialise()
        except TimeoutError:
            raise CloseConnection(4408, "Connection initialisation timeout") from None
        self._revalidation = asyncio.create_task(self._close_when_revoked())
        while True:
            receiving = asyncio.ensure_future(self._receive())
            both: list[asyncio.Future[Any]] = [receiving, self._fatal]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._fatal.done():
                receiving.cancel()
                raise self._fatal.result()
            await self._handle(receiving.result())

    async def close(self, close: CloseConnection) -> None:
        await self.end()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                reason = close.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
                await self._socket.close(close.code, reason)
        except (TimeoutError, RuntimeError, OSError):
            pass  # the client has left, or reads no more

    async def end(self) -> None:
        tasks = [*self._operations.values(), *([self._revalidation] if self._revalidation else [])]
        await cancellation.cancel_and_wait(*tasks)

    async def _receive(self) -> ClientMessage:
        try:
            text = await self._socket.receive_text()
        except KeyError as error:
            raise CloseConnection(4400, "Invalid message: send text frames, not binary") from error
        if len(text) > MAX_MESSAGE:
            raise CloseConnection(4400, f"Message too large: send at most {MAX_MESSAGE} characters")
        try:
            return _decoder.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CloseConnection(4400, f"Invalid message: {error}") from error

    async def _initialise(self) -> None:
        message = await self._receive()
        while message.type in ("ping", "pong"):
            await self._handle(message)
            message = await self._receive()
        if message.type != "connection_init":
            raise CloseConnection(4401, "Unauthorized")
        init = message.payload if isinstance(message.payload, dict) else {}
        try:
            self._principal = await self._service.authz.authenticate(self._socket.headers, init)
        except RequestRejected as rejected:
            raise _forbidden(rejected) from rejected
        await self._send(b'{"type":"connection_ack"}')

    async def _handle(self, message: ClientMessage) -> None:
        match message.type:
            case "subscribe" if self._principal:
                self._start(self._principal, message)
            case "complete":
                if task := self._operations.pop(message.id, None):
                    await cancellation.cancel_and_wait(task)
            case "ping":
                await self._send(b'{"type":"pong"}')
            case "pong":
                pass
            case "connection_init":
                raise CloseConnection(4429, "Too many initialisation requests")
            case _:
                raise CloseConnection(4400, f"Invalid message type: {message.type}")

    def _start(self, principal: Principal, message: ClientMessage) -> None:
        if not message.id:
            raise CloseConnection(4400, "A subscribe message needs an id")
        if message.id in self._operations:
            raise CloseConnection(4409, f"Subscriber for {message.id} already exists")
        if len(self._operations) >= MAX_OPERATIONS:
            raise CloseConnection(
                4429, f"Too many operations on one connection: at most {MAX_OPERATIONS} are allowed"
            )
        try:
            request = msgspec.convert(message.payload, GraphQLRequest)
        except msgspec.ValidationError as error:
            raise CloseConnection(4400, f"Invalid message: {error}") from error
        task = asyncio.create_task(self._run_operation(principal, message.id, request))
        self._operations[message.id] = task

    async def _run_operation(self, principal: Principal, id_: str, request: GraphQLRequest) -> None:
        id_json = msgspec.json.encode(id_)
        try:
            await self._send_results(principal, id_json, request)
            await self._send(b'{"id":' + id_json + b',"type":"complete"}')
        except RequestRejected as rejected:
            errors = msgspec.json.encode(rejected.errors)
            await self._send(b'{"id":' + id_json + b',"type":"error","payload":' + errors + b"}")
        except (SlowSubscriber, TimeoutError):
            self._end_with(
                CloseConnection(TOO_SLOW, "Too slow: resume with your last cursor as `after`")
            )
        except (WebSocketDisconnect, OSError, RuntimeError):
            pass  # the client has left; the receiving task notices and ends
        except Exception:
            log.exception("websocket_operation_failed")
            self._end_with(CloseConnection(1011, "Something went wrong on our side; connect again"))
        finally:
            # A client may have used the id again for another operation.
            if self._operations.get(id_) is asyncio.current_task():
                del self._operations[id_]

    async def _send_results(
        self, principal: Principal, id_json: bytes, request: GraphQLRequest
    ) -> None:
        prefix = b'{"id":' + id_json + b',"type":"next","payload":'
        async with aclosing(self._service.execute(principal, request)) as batches:
            async for payloads in batches:
                for payload in payloads:
                    await self._send(prefix + payload + b"}")

    async def _close_when_revoked(self) -> None:
        if self._principal:
            self._end_with(_forbidden(await self._principal.until_revoked(REVALIDATE_SECONDS)))

    async def _send(self, frame: bytes) -> None:
        async with asyncio.timeout(STALL_SECONDS):
            await self._socket.send_text(frame.decode())

    def _end_with(self, close: CloseConnection) -> None:
        if not self._fatal.done():
            self._fatal.set_result(close)


def _forbidden(rejected: RequestRejected) -> CloseConnection:
    return CloseConnection(4403, f"Forbidden: {rejected}")
