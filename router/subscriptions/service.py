"""Executes a request of either transport: subscriptions from a feed, all else on the router."""

from typing import Any

import httpx
import msgspec
import structlog

from router.subscriptions.authentication import AuthzClient, Principal
from router.subscriptions.documents import DocumentParser, ParsedSubscription, RequestRejected
from router.subscriptions.feed_registry import FeedRegistry
from router.subscriptions.router_client import UNAVAILABLE_ERROR, RouterClient
from subgraphs.kernel.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)


class GraphQLRequest(msgspec.Struct, rename="camel"):
    """A GraphQL request's parameters, by the GraphQL over HTTP specification."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


class Service:
    """The parser, the feeds and the authz client of one gateway process."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.authz = AuthzClient(client)
        self._router = RouterClient(client)
        self.feeds = FeedRegistry(self._router)
        self._parser = DocumentParser()

    def parse(
        self, request: GraphQLRequest, *, subscriptions_only: bool = False
    ) -> ParsedSubscription | None:
        """Returns a request's subscription; None for a query or mutation, which the router runs.

        Args:
            subscriptions_only: reject other operations, as for a GET, which a mere link can send.

        Raises:
            RequestRejected: the request is not valid, or not allowed.
        """
        subscription = self._parser.parse(request.query, request.operation_name)
        if subscription is None and subscriptions_only:
            message = "GET serves subscriptions only; send queries and mutations with POST."
            raise RequestRejected.with_code(message, "BAD_USER_INPUT")
        return subscription

    def close(self) -> None:
        """Ends the feeds and the revalidations."""
        self.feeds.close()
        self.authz.close()

    async def ask_router(self, principal: Principal, request: GraphQLRequest) -> bytes:
        """Returns the router's encoded response to a query or mutation.

        Raises:
            RequestRejected: the router does not answer.
        """
        try:
            signed = await principal.sign()
        except Unavailable as error:
            log.warning("query_failed", error=repr(error))
            raise RequestRejected(UNAVAILABLE_ERROR) from error
        return await self._router.execute(signed, request)
