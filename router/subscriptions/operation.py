"""One client's operation: replays the past in a task, then takes results from its live feed."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import structlog

from router.subscriptions.authentication import Principal
from router.subscriptions.client_connection import ClientConnection
from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import ParsedSubscription, RequestRejected
from router.subscriptions.feed import Feed, SlowSubscriber
from router.subscriptions.feed_registry import SharedFeed
from router.subscriptions.service import GraphQLRequest, Service
from router.subscriptions.subgraph_client import Result

log = structlog.stdlib.get_logger(__name__)

Encode = Callable[[bytes, int], bytes]
"""Encodes a payload for the wire, up to the operation's suffix, whose length is the argument."""


class Operation:
    """A query or a subscription of one connection.

    Args:
        encode: encodes a payload up to the suffix; subscribers with equal lengths share the bytes.
        suffix: ends each encoded payload; over WebSocket it holds the operation's id.
    """

    __slots__ = (
        "_principal",
        "_shared",
        "_task",
        "after",
        "connection",
        "encode",
        "feed",
        "has_ended",
        "id",
        "position",
        "suffix",
    )

    def __init__(
        self, connection: ClientConnection, encode: Encode, suffix: bytes, id_: str = ""
    ) -> None:
        self.connection = connection
        self.encode = encode
        self.suffix = suffix
        self.id = id_
        self.feed: Feed | None = None
        """The feed whose results it receives as they happen; None during the replay."""
        self.position = 0
        """The position in the feed up to which results are written."""
        self.after: Cursor | None = None
        """Skip the results up to this cursor; None once one was written."""
        self.has_ended = False
        self._shared: SharedFeed | None = None
        self._principal: Principal | None = None
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        service: Service,
        principal: Principal,
        request: GraphQLRequest,
        *,
        subscriptions_only: bool = False,
    ) -> None:
        """Begins to run the request."""
        running = self._run(service, principal, request, subscriptions_only)
        self._task = asyncio.create_task(running)

    def end(self) -> None:
        """Sends nothing more. A cancellation may be lost, so the task checks `has_ended` too."""
        if self.has_ended:
            return
        self.has_ended = True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.feed is not None:
            self.feed.detach(self)
            self.feed = None
        self._leave()
        self.connection.release(self)

    def catch_up(self) -> None:
        """Writes what the feed received while the client was slow."""
        if self.feed is not None:
            self.feed.deliver(self)

    def fail(self, error: Exception) -> None:
        """Ends the operation with an error from its feed."""
        if self.has_ended:
            return
        self._task = None  # it raised the error, or has ended: nothing to cancel
        if isinstance(error, RequestRejected):
            self.connection.reject(self, error)
            self.end()
        elif isinstance(error, SlowSubscriber):
            self.connection.end_slow()
        else:
            log.error("operation_failed", exc_info=error)
            self.connection.end_failed()

    async def _run(
        self,
        service: Service,
        principal: Principal,
        request: GraphQLRequest,
        subscriptions_only: bool,
    ) -> None:
        try:
            subscription = service.parse(request, subscriptions_only=subscriptions_only)
            if subscription is None:
                payload = await service.ask_router(principal, request)
                if not self.has_ended:
                    self._write([payload])
                    self.connection.complete(self)
                    self._task = None
                    self.end()
            else:
                await self._subscribe(service, principal, subscription, request)
        except Exception as error:
            self.fail(error)
        finally:
            if self.has_ended:
                self._leave()
            self._task = None

    async def _subscribe(
        self,
        service: Service,
        principal: Principal,
        subscription: ParsedSubscription,
        request: GraphQLRequest,
    ) -> None:
        variables = request.variables or {}
        joined = await service.feeds.join(principal, subscription, variables)
        self._shared, self._principal = joined.shared, principal
        feed = joined.shared.feed

        def go_live(position: int, after: Cursor) -> None:
            if not self.has_ended:
                self.position, self.after, self.feed = position, after, feed
                feed.attach(self)

        batches = feed.subscribe(joined.after, resuming=joined.is_resuming, go_live=go_live)
        async with aclosing(batches):
            async for results in batches:
                if self.has_ended:
                    return
                self._write_results(results)
                await self.connection.drain()

    def _write_results(self, results: Sequence[Result]) -> None:
        self._write([result.payload for result in results])

    def _write(self, payloads: Sequence[bytes]) -> None:
        length = len(self.suffix)
        encoded = [self.encode(payload, length) for payload in payloads]
        self.connection.write(self.suffix.join([*encoded, b""]))

    def _leave(self) -> None:
        if self._shared is not None and self._principal is not None:
            self._shared.leave(self._principal)
            self._shared = self._principal = None
