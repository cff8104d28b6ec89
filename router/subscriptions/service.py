"""What both ways in do with a request: subscriptions from a feed, all else from the router."""

import logging
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import msgspec

from router.subscriptions.authentication import Authz, Caller, Unavailable
from router.subscriptions.documents import Documents, Refused
from router.subscriptions.hub import Hub
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import VIEWER_HEADER

log = logging.getLogger(__name__)


class Request(msgspec.Struct, rename="camel"):
    """A GraphQL request."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


class Service:
    """The documents, the feeds and the authz of one door."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.authz = Authz(client)
        self.hub = Hub()
        self._client = client
        self._documents = Documents()

    async def results(
        self, caller: Caller, request: Request, *, only_live: bool = False
    ) -> AsyncGenerator[list[bytes]]:
        """Encoded results, some at a time; one for a query or mutation, no end for a subscription.

        Args:
            only_live: refuse all but subscriptions, as where a link could have been followed.

        Raises:
            Refused: the request is not answered.
            TooSlow: the caller does not read.
        """
        subscription = self._documents.read(request.query, request.operation_name)
        if subscription is None and only_live:
            raise Refused.because("Only a subscription is asked for with GET.", "BAD_USER_INPUT")
        if subscription is None:
            yield [await self._from_router(caller, request)]
            return
        variables = request.variables or {}
        async with self.hub.answers(caller, subscription, variables) as answers:
            async for some in answers:
                yield [answer.payload for answer in some]

    async def _from_router(self, caller: Caller, request: Request) -> bytes:
        try:
            headers = {VIEWER_HEADER: await caller.sign()}
            answer = await self._client.post(
                f"{settings().router_url.rstrip('/')}/graphql",
                content=msgspec.json.encode(request),
                headers={**headers, "content-type": "application/json"},
            )
            if "json" in answer.headers.get("content-type", ""):
                return answer.content
        except (httpx.HTTPError, Unavailable) as error:
            log.warning("a query was put off: %r", error)
        raise Refused.because("Try again in a moment.", "UNAVAILABLE")
