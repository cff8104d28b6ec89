"""HTTP client of the router, which executes queries and mutations."""

from typing import Any

import httpx
import msgspec
import structlog

from router.subscriptions.documents import RequestRejected
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import VIEWER_HEADER

log = structlog.stdlib.get_logger(__name__)

UNAVAILABLE_ERROR = {
    "message": "The service does not answer; send the request again in a few seconds.",
    "extensions": {"code": "UNAVAILABLE"},
}
"""Sent in place of an `Unavailable`, whose message names internal services."""


class RouterClient:
    """Sends requests to the router for a signed viewer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def execute(self, signed_viewer: str, request: Any) -> bytes:
        """Returns the router's encoded response.

        Args:
            request: `query`, and what else the GraphQL over HTTP specification names.

        Raises:
            RequestRejected: the router does not answer.
        """
        try:
            response = await self._client.post(
                f"{settings().router_url.rstrip('/')}/graphql",
                content=msgspec.json.encode(request),
                headers={VIEWER_HEADER: signed_viewer, "content-type": "application/json"},
            )
            if "json" in response.headers.get("content-type", ""):
                return response.content
            log.warning("query_failed", status=response.status_code)
        except httpx.HTTPError as error:
            log.warning("query_failed", error=repr(error))
        raise RequestRejected(UNAVAILABLE_ERROR)
