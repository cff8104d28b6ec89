"""Executes a request of either transport: subscriptions from a feed, all else on the router."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import msgspec
import structlog

from router.subscriptions.authentication import AuthzClient, Principal
from router.subscriptions.documents import DocumentParser, RequestRejected
from router.subscriptions.feed_registry import FeedRegistry
from subgraphs.kernel.config import settings
from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.identity.viewer import VIEWER_HEADER

log = structlog.stdlib.get_logger(__name__)

UNAVAILABLE_ERROR = {
    "message": "The service does not answer; send the request again in a few seconds.",
    "extensions": {"code": "UNAVAILABLE"},
}
"""Sent in place of an `Unavailable`, whose message names internal services."""


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
        self.feeds = FeedRegistry()
        self._client = client
        self._parser = DocumentParser()

    async def execute(
        self, principal: Principal, request: GraphQLRequest, *, subscriptions_only: bool = False
    ) -> AsyncGenerator[list[bytes]]:
        """Yields batches of encoded results: one result for a query or mutation, results without
        end for a subscription.

        Args:
            subscriptions_only: reject other operations, as for a GET, which a mere link can send.

        Raises:
            RequestRejected: the request is not valid, or not allowed.
            SlowSubscriber: the client reads too slowly.
        """
        subscription = self._parser.parse(request.query, request.operation_name)
        if subscription is None and subscriptions_only:
            message = "GET serves subscriptions only; send queries and mutations with POST."
            raise RequestRejected.with_code(message, "BAD_USER_INPUT")
        if subscription is None:
            yield [await self._from_router(principal, request)]
            return
        variables = request.variables or {}
        async with self.feeds.subscribe(principal, subscription, variables) as batches:
            async for results in batches:
                yield [result.payload for result in results]

    async def _from_router(self, principal: Principal, request: GraphQLRequest) -> bytes:
        try:
            headers = {VIEWER_HEADER: await principal.sign()}
            response = await self._client.post(
                f"{settings().router_url.rstrip('/')}/graphql",
                content=msgspec.json.encode(request),
                headers={**headers, "content-type": "application/json"},
            )
            if "json" in response.headers.get("content-type", ""):
                return response.content
        except (httpx.HTTPError, Unavailable) as error:
            log.warning("query_failed", error=repr(error))
        raise RequestRejected(UNAVAILABLE_ERROR)
