"""GraphQL over WebSocket: graphql-transport-ws, the protocol of `graphql-ws`, `gql` and others.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode

from router.subscriptions.client_connection import ClientConnection
from router.subscriptions.documents import RequestRejected
from router.subscriptions.operation import Operation
from router.subscriptions.service import GraphQLRequest, Service
from router.subscriptions.ticker import Ticker
from router.subscriptions.websocket_frames import (
    PING_FRAME,
    close_frame,
    parse_frame,
    pong_frame,
    text_frame,
    text_header,
)
from subgraphs.kernel.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

PROTOCOL = "graphql-transport-ws"

INIT_SECONDS = 10
"""How long a client may take to send `connection_init`."""

PING_SECONDS = 20
"""Interval of pings. A client that sends nothing from one to the next is gone: a dead connection is
noticed within 40 s. Proxies cut connections without bytes, most after 60 s."""

CLOSE_SECONDS = 30
"""How long the close frame may wait behind data that the client has not read."""

_LINGER_SECONDS = 1
"""How long bytes are read and dropped after a protocol error: a reset could overtake the reason."""

MAX_OPERATIONS = 50
MAX_MESSAGE = 64 * 1024

TOO_SLOW = 4290
"""Close code of our own: the client reads too slowly; it can resume with its last cursor."""

_SERVICE_RESTART = 1012


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

_NO_OPERATIONS: dict[str, Operation] = {}
"""Stands for the operations of a connection without any; never changed."""


class WebSocketConnection(ClientConnection):
    """One connection after its handshake.

    Args:
        headers: the handshake's headers, by lower-case name.
        pings: calls each connection when a ping is due.
    """

    __slots__ = (
        "_fragments",
        "_has_closed",
        "_headers",
        "_is_alive",
        "_operations",
        "_received",
        "_service",
        "_task",
        "_ticker",
        "_timer",
    )

    def __init__(self, service: Service, headers: Mapping[str, str], pings: Ticker) -> None:
        super().__init__()
        self._service = service
        self._headers: Mapping[str, str] | None = headers
        """None once `connection_init` was received."""
        self._ticker = pings
        self._operations = _NO_OPERATIONS
        self._received = b""
        """The beginning of a frame whose end has not arrived."""
        self._fragments: bytes | None = None
        """The beginning of a message whose last frame has not arrived."""
        self._is_alive = True
        """Whether the client has sent anything since the last ping."""
        self._has_closed = False
        """Whether a close frame was sent; what the client sends is read and dropped."""
        self._task: asyncio.Task[None] | None = None
        """The authentication; further messages wait for it."""
        self._timer: asyncio.TimerHandle | None = None
        """Until `connection_init`, and again from our close frame on."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ticker.add(self)
        loop = asyncio.get_running_loop()
        timeout = CloseConnection(4408, "Connection initialisation timeout")
        self._timer = loop.call_later(INIT_SECONDS, self.close, timeout)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._ticker.discard(self)
        self._end()

    def data_received(self, data: bytes) -> None:
        self._is_alive = True
        if self._has_closed and self._received is _DISCARDED:
            return
        self._received = self._received + data if self._received else data
        if self._task is None:
            self._process()

    def close(self, close: CloseConnection) -> None:
        """Sends a close frame, and closes once the client has answered it."""
        if self._has_closed or self._transport is None:
            return
        self._has_closed = True
        self._end()
        self.write(close_frame(close.code, close.reason))
        self._transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)

    def on_tick(self) -> None:
        """Pings the client; aborts a connection on which nothing came since the last ping."""
        if not self._is_alive:
            self.abort()
        elif not self.is_paused:
            self._is_alive = False
            self.write(PING_FRAME)

    # For operations.

    def reject(self, operation: Operation, rejected: RequestRejected) -> None:
        errors = msgspec.json.encode(rejected.errors)
        self._send(b'{"type":"error","payload":' + errors + operation.suffix)

    def complete(self, operation: Operation) -> None:
        self._send(b'{"type":"complete"' + operation.suffix)

    def release(self, operation: Operation) -> None:
        if self._operations.get(operation.id) is operation:
            del self._operations[operation.id]

    def live_operations(self) -> Sequence[Operation]:
        return list(self._operations.values())

    def end_slow(self) -> None:
        self.close(CloseConnection(TOO_SLOW, "Too slow: resume with your last cursor as `after`"))

    def end_failed(self) -> None:
        self.close(CloseConnection(1011, "Something went wrong on our side; connect again"))

    def revoke(self, rejected: RequestRejected) -> None:
        self.close(CloseConnection(4403, f"Forbidden: {rejected}"))

    def shut_down(self) -> None:
        self.close(CloseConnection(_SERVICE_RESTART, "The server restarts; connect again"))

    # Messages.

    def _process(self) -> None:
        """Handles the frames that have arrived, until one needs an authentication."""
        try:
            while self._received and self._task is None and self._transport is not None:
                found = parse_frame(self._received, MAX_MESSAGE)
                if found is None:
                    return
                frame, length = found
                self._received = self._received[length:]
                self._handle_frame(frame)
        except PayloadTooBig:
            reason = f"Message too large: send at most {MAX_MESSAGE} bytes"
            self._close_unread(CloseConnection(4400, reason))
        except ProtocolError as error:
            self._close_unread(CloseConnection(1002, f"Protocol error: {error}"))
        except CloseConnection as close:
            self.close(close)
        except Exception:
            log.exception("websocket_connection_failed")
            self.end_failed()

    def _close_unread(self, close: CloseConnection) -> None:
        """Closes although the client's frames can no longer be told apart, its answer neither."""
        self.close(close)
        self._received = _DISCARDED
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _handle_frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.CLOSE:
                if not self._has_closed:
                    self.write(Frame(Opcode.CLOSE, frame.data).serialize(mask=False))
                if self._transport is not None:
                    self._transport.close()
            case _ if self._has_closed:
                pass
            case Opcode.PING:
                self.write(pong_frame(bytes(frame.data)))
            case Opcode.TEXT | Opcode.CONT:
                self._handle_text(frame)
            case Opcode.BINARY:
                raise CloseConnection(4400, "Invalid message: send text frames, not binary")

    def _handle_text(self, frame: Frame) -> None:
        if (frame.opcode is Opcode.CONT) != (self._fragments is not None):
            raise CloseConnection(1002, "Protocol error: unexpected continuation of a message")
        text = (self._fragments or b"") + bytes(frame.data)
        if len(text) > MAX_MESSAGE:
            raise CloseConnection(4400, f"Message too large: send at most {MAX_MESSAGE} bytes")
        self._fragments = None if frame.fin else text
        if not frame.fin:
            return
        try:
            message = _decoder.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CloseConnection(4400, f"Invalid message: {error}") from error
        self._handle(message)

    def _handle(self, message: ClientMessage) -> None:
        match message.type:
            case "ping":
                self._send(b'{"type":"pong"}')
            case "pong":
                pass
            case "connection_init" if self._headers is not None:
                self._initialise(self._headers, message)
            case "connection_init":
                raise CloseConnection(4429, "Too many initialisation requests")
            case _ if self.principal is None:
                raise CloseConnection(4401, "Unauthorized")
            case "subscribe":
                self._start(message)
            case "complete":
                if operation := self._operations.get(message.id):
                    operation.end()
            case _:
                raise CloseConnection(4400, f"Invalid message type: {message.type}")

    def _initialise(self, headers: Mapping[str, str], message: ClientMessage) -> None:
        self._headers = None
        init = message.payload if isinstance(message.payload, dict) else {}
        if self._transport is not None:
            self._transport.pause_reading()
        self._task = asyncio.create_task(self._authenticate(headers, init))

    async def _authenticate(self, headers: Mapping[str, str], init: Mapping[str, Any]) -> None:
        try:
            principal = await self._service.authz.authenticate(headers, init)
        except RequestRejected as rejected:
            self.revoke(rejected)
        except Unavailable as error:
            log.warning("authentication_unavailable", error=str(error))
            reason = "The service does not answer; connect again in a few seconds"
            self.close(CloseConnection(1013, reason))
        except Exception:
            log.exception("websocket_authentication_failed")
            self.end_failed()
        else:
            self._continue_as(principal)
        finally:
            self._task = None

    def _continue_as(self, principal: Any) -> None:
        if self._has_closed or self._transport is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.principal = principal
        principal.attach(self)
        self._send(b'{"type":"connection_ack"}')
        self._task = None
        self._transport.resume_reading()
        self._process()

    def _start(self, message: ClientMessage) -> None:
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
        assert self.principal is not None  # noqa: S101  (checked by the caller)
        suffix = b',"id":' + msgspec.json.encode(message.id) + b"}"
        operation = Operation(self, _encode_next, suffix, message.id)
        if self._operations is _NO_OPERATIONS:
            self._operations = {}
        self._operations[message.id] = operation
        operation.start(self._service, self.principal, request)

    def _send(self, message: bytes) -> None:
        self.write(text_frame(message))

    def _end(self) -> None:
        """Ends the operations and everything that waits."""
        for operation in self.live_operations():
            operation.end()
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leave_principal()


_DISCARDED = b"\x00"
"""Stands for bytes that are not read as frames."""


def _encode_next(payload: bytes, suffix_length: int) -> bytes:
    """Returns the frame of a result up to the operation's id."""
    start = b'{"type":"next","payload":' + payload
    return text_header(len(start) + suffix_length) + start
