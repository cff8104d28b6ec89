"""The edge authz, called as Envoy and the subscription gateway call it, on PostgreSQL."""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import httpx
import jwt
import pytest
from cachetools import TTLCache
from sqlalchemy import text

from router.authz.signed_viewers import REUSED_FOR, SignedViewers
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.sessions import SessionSigner
from subgraphs.kernel.identity.viewer import (
    NOBODY,
    VIEWER_HEADER,
    VIEWER_LIFETIME,
    Viewer,
    ViewerKind,
    ViewerSigner,
    ViewerVerifier,
)
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Change
from tests.fixtures.deadline import eventually
from tests.fixtures.graph import counted_statements
from tests.fixtures.keys import PRIVATE, PUBLIC, key_pair
from tests.fixtures.ports import free_port
from tests.fixtures.shop import Shop, new_shop
from tests.router.conftest import authz

pytestmark = pytest.mark.usefixtures("stores")

OTHERS_PRIVATE, _ = key_pair()


@pytest.fixture
async def service() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with cold caches."""
    transport = httpx.ASGITransport(authz())
    async with httpx.AsyncClient(transport=transport, base_url="http://authz") as client:
        yield client


@pytest.fixture
async def shop() -> Shop:
    return await new_shop()


class Clock:
    """A settable `time.monotonic`, for caches."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def postgresql_at(port: int) -> AsyncIterator[None]:
    """Points the settings at a PostgreSQL on another port."""
    original = os.environ["WORKER_DATABASE_URL"]
    await use_postgresql(f"postgresql://worker:w@127.0.0.1:{port}/proofgraph")
    try:
        yield
    finally:
        await use_postgresql(original)


async def use_postgresql(url: str) -> None:
    os.environ["WORKER_DATABASE_URL"] = url
    settings.cache_clear()
    await db.dispose()


def bearer(user_id: UUID | None, session_id: UUID | None = None) -> dict[str, str]:
    assert user_id is not None
    token, _ = SessionSigner(PRIVATE).sign(user_id, session_id or new_id())
    return {"authorization": f"Bearer {token}"}


def key_of(shop: Shop, **headers: str) -> dict[str, str]:
    return {"x-proofgraph-site-key": shop.site_key, **headers}


def viewer_of(answer: httpx.Response) -> Viewer:
    assert (answer.status_code, answer.content) == (200, b"")
    return ViewerVerifier(PUBLIC).verify(answer.headers)


def rejection(answer: httpx.Response) -> tuple[int, str]:
    """Returns (status, code); asserts the shape of a GraphQL error, and no viewer header."""
    assert VIEWER_HEADER not in answer.headers
    [error] = answer.json()["errors"]
    assert error.keys() == {"message", "extensions"}
    return answer.status_code, error["extensions"]["code"]


async def test_a_request_without_credential_is_nobody(service: httpx.AsyncClient) -> None:
    assert viewer_of(await service.get("/check")) == NOBODY
    assert viewer_of(await service.get("/check", headers={"authorization": ""})) == NOBODY


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"])
@pytest.mark.parametrize("path", ["/check", "/check/", "/check/graphql", "/check/a/b?c=d"])
async def test_every_method_and_path_is_checked(
    service: httpx.AsyncClient, method: str, path: str
) -> None:
    assert viewer_of(await service.request(method, path)) == NOBODY


async def test_a_session_token_gives_the_user_with_all_accounts(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    session_id = new_id()

    answer = await service.post("/check/graphql", headers=bearer(shop.owner.id, session_id))

    assert viewer_of(answer) == Viewer(
        ViewerKind.USER, shop.owner.id, (shop.account_id,), (), session_id
    )


async def test_read_only_memberships_are_listed(service: httpx.AsyncClient, shop: Shop) -> None:
    looker = (await new_shop()).owner
    async with db.transaction(shop.owner) as session:
        await session.execute(
            text("INSERT INTO members (account_id, user_id, role) VALUES (:a, :u, 'VIEWER')"),
            {"a": shop.account_id, "u": looker.id},
        )

    viewer = viewer_of(await service.get("/check", headers=bearer(looker.id)))

    assert set(viewer.account_ids) == {shop.account_id, looker.account_ids[0]}
    assert viewer.read_only_ids == (shop.account_id,)


async def test_a_user_without_membership_has_no_accounts(service: httpx.AsyncClient) -> None:
    user_id, session_id = new_id(), new_id()

    answer = await service.get("/check", headers=bearer(user_id, session_id))

    assert viewer_of(answer) == Viewer(ViewerKind.USER, user_id, session_id=session_id)


async def test_a_site_key_gives_its_site(service: httpx.AsyncClient, shop: Shop) -> None:
    answer = await service.get("/check", headers=key_of(shop))

    assert viewer_of(answer) == Viewer(ViewerKind.SITE, shop.site_id, (shop.account_id,))


def invalid_tokens() -> dict[str, str]:
    now = datetime.now(UTC)
    right: dict[str, object] = {
        "iss": "proofgraph",
        "aud": "proofgraph-session",
        "sub": str(new_id()),
        "jti": str(new_id()),
        "exp": now + timedelta(hours=1),
    }
    expired: dict[str, object] = {"exp": now - timedelta(seconds=1)}
    wrong: dict[str, dict[str, object]] = {
        "expired": expired,
        "audience": {"aud": "proofgraph-subgraphs"},
        "issuer": {"iss": "x"},
        "subject": {"sub": "x"},
    }
    return {
        "empty": "",
        "text": "not a token",
        "other key": SessionSigner(OTHERS_PRIVATE).sign(new_id(), new_id())[0],
        "unsigned": jwt.encode(right, "", algorithm="none"),
        **{
            name: jwt.encode(right | claims, base64.b64decode(PRIVATE), algorithm="EdDSA")
            for name, claims in wrong.items()
        },
    }


@pytest.mark.parametrize("token", invalid_tokens().values(), ids=invalid_tokens().keys())
async def test_an_invalid_token_is_unauthenticated(service: httpx.AsyncClient, token: str) -> None:
    with counted_statements() as statements:
        answer = await service.get("/check", headers={"authorization": f"Bearer {token}"})

    assert rejection(answer) == (401, "UNAUTHENTICATED")
    assert statements == []


async def test_another_authorization_scheme_is_unauthenticated(service: httpx.AsyncClient) -> None:
    answer = await service.get("/check", headers={"authorization": "Basic YTpi"})

    assert rejection(answer) == (401, "UNAUTHENTICATED")


async def test_an_overlong_site_key_is_not_looked_up(service: httpx.AsyncClient) -> None:
    with counted_statements() as statements:
        answer = await service.get("/check", headers={"x-proofgraph-site-key": "x" * 10_000})

    assert rejection(answer) == (401, "UNAUTHENTICATED")
    assert statements == []


async def test_an_unknown_site_key_is_unauthenticated(service: httpx.AsyncClient) -> None:
    answer = await service.get("/check", headers={"x-proofgraph-site-key": "pk_unknown"})

    assert rejection(answer) == (401, "UNAUTHENTICATED")


async def end(shop: Shop, session_id: UUID) -> None:
    async with db.transaction(shop.owner) as session:
        await credentials.store_ended_session(
            session, session_id=session_id, expires_at=datetime.now(UTC) + timedelta(hours=1)
        )


async def test_an_ended_session_is_unauthenticated(service: httpx.AsyncClient, shop: Shop) -> None:
    await end(shop, ended := new_id())

    assert rejection(await service.get("/check", headers=bearer(shop.owner.id, ended))) == (
        401,
        "UNAUTHENTICATED",
    )
    other = await service.get("/check", headers=bearer(shop.owner.id))
    assert viewer_of(other).id == shop.owner.id


async def test_an_ended_session_is_rejected_once_the_cache_entry_expires(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("router.authz.lookup_cache.TTLCache", partial(TTLCache, timer=clock))
    headers = bearer(shop.owner.id, ended := new_id())
    transport = httpx.ASGITransport(authz())
    async with httpx.AsyncClient(transport=transport, base_url="http://authz") as service:
        viewer_of(await service.get("/check", headers=headers))
        await end(shop, ended)

        clock.now += credentials.CACHE_SECONDS - 0.1
        assert viewer_of(await service.get("/check", headers=headers)).id == shop.owner.id
        clock.now += 0.2
        assert rejection(await service.get("/check", headers=headers)) == (401, "UNAUTHENTICATED")


async def test_a_published_change_invalidates_the_cache(shop: Shop) -> None:
    app = authz()
    headers, ended = bearer(shop.owner.id, session := new_id()), new_id()
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://authz") as service,
        app.router.lifespan_context(app),
    ):
        viewer_of(await service.get("/check", headers=headers))
        await end(shop, session)

        async def answer() -> int:
            await invalidation.publish(Change("session", session), Change("session", ended))
            return (await service.get("/check", headers=headers)).status_code

        await eventually(answer, lambda status: status == 401, seconds=2)


async def test_no_cache_bypasses_the_cache(service: httpx.AsyncClient, shop: Shop) -> None:
    headers = bearer(shop.owner.id, session := new_id())
    viewer_of(await service.get("/check", headers=headers))
    await end(shop, session)

    fresh = await service.get("/check", headers={**headers, "cache-control": "no-cache"})

    assert rejection(fresh) == (401, "UNAUTHENTICATED")
    assert rejection(await service.get("/check", headers=headers)) == (401, "UNAUTHENTICATED")


async def test_a_cached_token_expires_on_time(
    service: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifetime = timedelta(seconds=2)
    monkeypatch.setattr("subgraphs.kernel.identity.sessions.SESSION_LIFETIME", lifetime)
    headers = bearer(shop.owner.id)

    assert viewer_of(await service.get("/check", headers=headers)).id == shop.owner.id
    await asyncio.sleep(lifetime.total_seconds())
    assert rejection(await service.get("/check", headers=headers)) == (401, "UNAUTHENTICATED")


async def test_two_credentials_are_rejected(service: httpx.AsyncClient, shop: Shop) -> None:
    both = [*bearer(shop.owner.id).items(), *key_of(shop).items()]
    twice = [*bearer(shop.owner.id).items(), *bearer(shop.owner.id).items()]

    assert rejection(await service.get("/check", headers=both)) == (400, "BAD_USER_INPUT")
    assert rejection(await service.get("/check", headers=twice)) == (400, "BAD_USER_INPUT")


async def test_a_site_key_works_only_on_its_sites_origin(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    async with db.read_session(shop.owner) as session:
        domain = await session.scalar(text("SELECT domain FROM sites"))

    own = key_of(shop, origin=f"https://www.{domain}")
    foreign = key_of(shop, origin="https://shop.example.net")

    assert viewer_of(await service.get("/check", headers=own)).id == shop.site_id
    assert rejection(await service.get("/check", headers=foreign)) == (403, "FORBIDDEN")


async def test_a_preflight_is_nobody(service: httpx.AsyncClient, shop: Shop) -> None:
    for headers in ({}, bearer(shop.owner.id), {"authorization": "Bearer false"}):
        assert viewer_of(await service.options("/check", headers=headers)) == NOBODY


async def test_statements_per_request_uncached_and_cached(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    await db.ping(worker=True)
    as_user, as_site = bearer(shop.owner.id), key_of(shop)

    costs = []
    for headers in ({}, as_user, as_user, as_site, as_site, as_user):
        with counted_statements() as statements:
            viewer_of(await service.get("/check", headers=headers))
        costs.append(len(statements))

    assert costs == [0, 2, 0, 1, 0, 0]


async def test_concurrent_requests_share_one_lookup(service: httpx.AsyncClient, shop: Shop) -> None:
    await db.ping(worker=True)
    headers = bearer(shop.owner.id)

    with counted_statements() as statements:
        answers = await asyncio.gather(*(service.get("/check", headers=headers) for _ in range(50)))

    assert {viewer_of(answer).id for answer in answers} == {shop.owner.id}
    assert len(statements) == 2


class CountingSigner(ViewerSigner):
    signed = 0

    def sign(self, viewer: Viewer) -> str:
        self.signed += 1
        return super().sign(viewer)


def test_a_signed_viewer_is_reused_for_twenty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("router.authz.signed_viewers.TTLCache", partial(TTLCache, timer=clock))
    signer = CountingSigner(PRIVATE)
    signed_viewers = SignedViewers(signer)
    other = Viewer(ViewerKind.SITE, new_id())

    counts = []
    for seconds, viewer in ((0, NOBODY), (19, NOBODY), (0, other), (2, NOBODY), (0, other)):
        clock.now += seconds
        token = signed_viewers.token_for(viewer)
        assert ViewerVerifier(PUBLIC).verify({VIEWER_HEADER: token}) == viewer
        counts.append(signer.signed)

    assert counts == [1, 1, 2, 3, 3]
    assert REUSED_FOR < VIEWER_LIFETIME / 2


async def test_credentials_are_rejected_while_postgresql_is_unavailable(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    async with postgresql_at(free_port()):
        assert viewer_of(await service.get("/check")) == NOBODY
        for headers in (bearer(shop.owner.id), key_of(shop)):
            assert rejection(await service.get("/check", headers=headers)) == (503, "UNAVAILABLE")
        assert (await service.get("/healthz")).text == "ok"
        assert (await service.get("/readyz")).status_code == 503

    for headers in (bearer(shop.owner.id), key_of(shop)):
        assert viewer_of(await service.get("/check", headers=headers)).account_ids
    assert (await service.get("/readyz")).text == "ok"


async def test_a_hanging_postgresql_times_out(
    service: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.authz.service.LOOKUP_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with postgresql_at(silent.getsockname()[1]):
            answer = await service.get("/check", headers=bearer(shop.owner.id))

    assert rejection(answer) == (503, "UNAVAILABLE")
