"""What stands around the live door: each part real and small, each to be stopped and started."""

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

from router.authz.check import Check, create_app
from router.authz.signatures import Signatures
from router.authz.viewers import SITE_KEY_HEADER, Viewers
from router.subscriptions import app as door
from subgraphs.kernel import live
from subgraphs.kernel.errors import Unauthenticated
from subgraphs.kernel.identity.viewer import NOBODY, VIEWER_HEADER, Viewer, ViewerKind, ViewerSigner
from tests.fixtures.deadline import eventually
from tests.fixtures.keys import PRIVATE
from tests.fixtures.ports import free_port
from tests.fixtures.serving import serving
from tests.fixtures.valkey import Valkey
from tests.router.subscriptions import owner

PARTS = ("authz", "router", "owner", "door")


class People:
    """Knows everyone by what they say: a site's key is its id, `Bearer <id> …` a user's session."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        """Credentials that are good no longer."""

    async def identify(self, headers: Headers) -> Viewer:
        for name, kind in (
            (SITE_KEY_HEADER, ViewerKind.SITE),
            ("authorization", ViewerKind.USER),
        ):
            if shown := headers.get(name):
                return self._viewer(kind, shown)
        return NOBODY

    def _viewer(self, kind: ViewerKind, shown: str) -> Viewer:
        try:
            id_ = UUID(shown.removeprefix("Bearer ").split()[0])
        except (ValueError, IndexError):
            raise Unauthenticated("This credential is not known.") from None
        if shown in self.refused:
            raise Unauthenticated("This credential is good no longer.")
        return Viewer(kind, id_)


class Router:
    """Takes queries and mutations; keeps what came, and answers when it may."""

    def __init__(self) -> None:
        self.came: list[dict[str, Any]] = []
        self.viewers: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.app = Starlette(routes=[Route("/graphql", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        self.came.append(await request.json())
        self.viewers.append(request.headers[VIEWER_HEADER])
        await self.may_answer.wait()
        return JSONResponse({"data": {"plans": []}})


class World:
    """The parts by name: `start`, `stop`; and a site whose claims are published."""

    def __init__(self, valkey: Valkey) -> None:
        self.valkey = valkey
        self.people = People()
        self.router = Router()
        self.site = uuid4()
        self.ports = {name: free_port() for name in PARTS}
        self._running: dict[str, AsyncExitStack] = {}
        owner.asked.clear()
        owner.following.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['door']}"

    @property
    def key(self) -> str:
        return str(self.site)

    @property
    def environment(self) -> dict[str, str]:
        at = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        return {
            "REDIS_URL": self.valkey.url,
            "AUTHZ_URL": at["authz"],
            "ROUTER_URL": at["router"],
            "NOTIFICATIONS_URL": f"{at['owner']}/notifications/graphql",
        }

    async def __aenter__(self) -> Self:
        for name in PARTS:
            await self.start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.router.may_answer.set()
        await self.stop("door")  # which asks the others
        await asyncio.gather(*(self.stop(name) for name in PARTS))

    async def start(self, name: str) -> None:
        apps: dict[str, Callable[[], Any]] = {
            "authz": self._authz,
            "router": lambda: self.router.app,
            "owner": owner.make_app,
            "door": self._door,
        }
        stack = self._running[name] = AsyncExitStack()
        await stack.enter_async_context(serving(apps[name](), port=self.ports[name]))

    async def stop(self, name: str) -> None:
        if stack := self._running.pop(name, None):
            await stack.aclose()

    async def publish(self, *numbers: int, size: int = 0) -> list[str]:
        """Claims that say their number, in texts of at least a size."""
        channel = live.claims_of(self.site)
        texts = [(number, f"{number:0{size}d}") for number in numbers]
        return await live.publish_all(
            [(channel, UUID(int=number), {"text": text}) for number, text in texts]
        )

    async def followed(self, count: int = 1) -> None:
        """Return once the owner is asked by so many, and they wait for what comes."""

        async def asked() -> int:
            return len(owner.following)

        await eventually(asked, lambda asking: asking == count)
        await asyncio.sleep(0.1)

    async def joined(self, count: int) -> None:
        """Return once so many follow at the door: what is published from here on is theirs."""
        await eventually(self.followers, lambda following: following == count)

    async def followers(self) -> int:
        """How many follow something at the door."""
        hub = self._made.state.service.hub
        return sum(map(len, hub._callers.values()))

    def _door(self) -> Any:
        self._made = door.create_app()
        return self._made

    def _authz(self) -> Any:
        viewers = cast(Viewers, self.people)  # the one part that would need PostgreSQL
        return create_app(
            Check(viewers, Signatures(ViewerSigner(PRIVATE))), invalidate=lambda change: None
        )


def numbers(claims: Sequence[dict[str, Any]]) -> list[int]:
    return [int(claim["text"]) for claim in claims]
