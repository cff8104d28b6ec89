"""The subscription gateway with small real services around it, each of which a test can restart."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self, cast
from uuid import UUID, uuid4

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.authz.authenticator import AUTHORIZATION_HEADER, SITE_KEY_HEADER, Authenticator
from router.authz.service import CheckEndpoint, create_app
from router.authz.signed_viewers import SignedViewers
from router.subscriptions.server import serving as serving_gateway
from subgraphs.kernel import live
from subgraphs.kernel.errors import Unauthenticated
from subgraphs.kernel.identity.viewer import NOBODY, VIEWER_HEADER, Viewer, ViewerKind, ViewerSigner
from tests.fixtures.deadline import eventually
from tests.fixtures.keys import PRIVATE
from tests.fixtures.ports import free_port
from tests.fixtures.serving import serving
from tests.fixtures.valkey import Valkey
from tests.router.subscriptions import claims_subgraph

SERVICES = ("authz", "router", "subgraph", "gateway")


class Credentials:
    """Authenticator without PostgreSQL: a site key is its site's id, a token `Bearer <id> …`."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    async def authenticate(self, headers: Headers) -> Viewer:
        for name, kind in (
            (SITE_KEY_HEADER, ViewerKind.SITE),
            (AUTHORIZATION_HEADER, ViewerKind.USER),
        ):
            if credential := headers.get(name):
                return self.viewer(kind, credential)
        return NOBODY

    def viewer(self, kind: ViewerKind, credential: str) -> Viewer:
        try:
            id_ = UUID(credential.removeprefix("Bearer ").split()[0])
        except (ValueError, IndexError):
            raise Unauthenticated("This credential does not exist.") from None
        if credential in self.revoked:
            raise Unauthenticated("This credential is revoked.")
        return Viewer(kind, id_)


class Router:
    """Records queries and mutations, and answers each with `response`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.viewers: list[str] = []
        self.response: dict[str, Any] = {"data": {"plans": []}}
        self.app = Starlette(routes=[Route("/graphql", self._respond, methods=["POST"])])

    async def _respond(self, request: Request) -> Response:
        self.requests.append(await request.json())
        self.viewers.append(request.headers[VIEWER_HEADER])
        return JSONResponse(self.response)


class GatewayStack:
    """The services by name, with `start` and `stop`; and one site, whose claims it publishes."""

    def __init__(self, valkey: Valkey) -> None:
        self.valkey = valkey
        self.credentials = Credentials()
        self.router = Router()
        self.site = uuid4()
        self.ports = {name: free_port() for name in SERVICES}
        self._running: dict[str, AsyncExitStack] = {}
        claims_subgraph.requested_after.clear()
        claims_subgraph.open_subscriptions.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def key(self) -> str:
        return str(self.site)

    @property
    def environment(self) -> dict[str, str]:
        urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        return {
            "REDIS_URL": self.valkey.url,
            "AUTHZ_URL": urls["authz"],
            "ROUTER_URL": urls["router"],
            "NOTIFICATIONS_URL": f"{urls['subgraph']}/notifications/graphql",
        }

    async def __aenter__(self) -> Self:
        for name in SERVICES:
            await self.start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop("gateway")  # first: it sends requests to the others
        await asyncio.gather(*(self.stop(name) for name in SERVICES))

    async def start(self, name: str) -> None:
        stack = self._running[name] = AsyncExitStack()
        if name == "gateway":
            gateway = serving_gateway("127.0.0.1", self.ports[name])
            self.gateway = await stack.enter_async_context(gateway)
            return
        apps: dict[str, Callable[[], Any]] = {
            "authz": self._authz_app,
            "router": lambda: self.router.app,
            "subgraph": claims_subgraph.make_app,
        }
        await stack.enter_async_context(serving(apps[name](), port=self.ports[name]))

    async def stop(self, name: str) -> None:
        if stack := self._running.pop(name, None):
            await stack.aclose()

    async def publish(
        self, *numbers: int, size: int = 0, notification: str | None = None
    ) -> list[str]:
        """Publishes claims whose text is their number, zero-padded to `size`; returns cursors."""
        channel = live.claims_of(self.site)
        texts = [(number, f"{number:0{size}d}") for number in numbers]
        return await live.publish_all(
            [
                (channel, UUID(int=number), {"text": text, "notification": notification})
                for number, text in texts
            ]
        )

    async def wait_for_subgraph_subscriptions(self, count: int = 1) -> None:
        """Returns once the subgraph has exactly so many subscriptions, and they read live."""

        async def open_subscriptions() -> int:
            return len(claims_subgraph.open_subscriptions)

        await eventually(open_subscriptions, lambda found: found == count)
        await asyncio.sleep(0.1)

    async def wait_for_subscribers(self, count: int) -> None:
        """Returns once the gateway has so many subscribers: they receive what comes from now on."""
        await eventually(self.subscriber_count, lambda found: found == count)

    async def subscriber_count(self) -> int:
        """Returns how many subscribers the gateway has."""
        return self.gateway.service.feeds.subscriber_count

    def _authz_app(self) -> Any:
        authenticator = cast(Authenticator, self.credentials)
        check = CheckEndpoint(authenticator, SignedViewers(ViewerSigner(PRIVATE)))
        return create_app(check, invalidate=lambda change: None)


def numbers(claims: Sequence[dict[str, Any]]) -> list[int]:
    return [int(claim["text"]) for claim in claims]
