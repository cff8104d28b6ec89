"""The edge authz, asked as Envoy and the live door ask it, on the real PostgreSQL."""

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import jwt
import pytest
from sqlalchemy import text

from router.authz.signatures import REUSED_FOR, Signatures
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
    """Stands in for `time.monotonic`."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def postgresql_at(port: int) -> AsyncIterator[None]:
    """Meanwhile, have PostgreSQL looked for on another port."""
    right = os.environ["WORKER_DATABASE_URL"]
    await use_postgresql(f"postgresql://worker:w@127.0.0.1:{port}/proofgraph")
    try:
        yield
    finally:
        await use_postgresql(right)


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


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """(status, code) of an answer that has no viewer and the shape of a GraphQL error."""
    assert VIEWER_HEADER not in answer.headers
    [error] = answer.json()["errors"]
    assert error.keys() == {"message", "extensions"}
    return answer.status_code, error["extensions"]["code"]


async def test_who_shows_nothing_is_nobody(service: httpx.AsyncClient) -> None:
    assert viewer_of(await service.get("/check")) == NOBODY
    assert viewer_of(await service.get("/check", headers={"authorization": ""})) == NOBODY


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"])
@pytest.mark.parametrize("path", ["/check", "/check/", "/check/graphql", "/check/a/b?c=d"])
async def test_every_request_is_answered(
    service: httpx.AsyncClient, method: str, path: str
) -> None:
    assert viewer_of(await service.request(method, path)) == NOBODY


async def test_a_session_is_its_user_with_all_accounts(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    session_id = new_id()

    answer = await service.post("/check/graphql", headers=bearer(shop.owner.id, session_id))

    assert viewer_of(answer) == Viewer(
        ViewerKind.USER, shop.owner.id, (shop.account_id,), (), session_id
    )


async def test_who_may_only_look_is_marked(service: httpx.AsyncClient, shop: Shop) -> None:
    looker = (await new_shop()).owner
    async with db.transaction(shop.owner) as session:
        await session.execute(
            text("INSERT INTO members (account_id, user_id, role) VALUES (:a, :u, 'VIEWER')"),
            {"a": shop.account_id, "u": looker.id},
        )

    viewer = viewer_of(await service.get("/check", headers=bearer(looker.id)))

    assert set(viewer.account_ids) == {shop.account_id, looker.account_ids[0]}
    assert viewer.read_only_ids == (shop.account_id,)


async def test_a_user_of_no_account_sees_none(service: httpx.AsyncClient) -> None:
    user_id, session_id = new_id(), new_id()

    answer = await service.get("/check", headers=bearer(user_id, session_id))

    assert viewer_of(answer) == Viewer(ViewerKind.USER, user_id, session_id=session_id)


async def test_a_site_key_is_its_site(service: httpx.AsyncClient, shop: Shop) -> None:
    answer = await service.get("/check", headers=key_of(shop))

    assert viewer_of(answer) == Viewer(ViewerKind.SITE, shop.site_id, (shop.account_id,))


def false_tokens() -> list[str]:
    now = datetime.now(UTC)
    right = {
        "iss": "proofgraph",
        "aud": "proofgraph-session",
        "sub": str(new_id()),
        "jti": str(new_id()),
        "exp": now + timedelta(hours=1),
    }
    expired = {"exp": now - timedelta(seconds=1)}
    return [
        "",
        "not a token",
        SessionSigner(OTHERS_PRIVATE).sign(new_id(), new_id())[0],
        jwt.encode(right, "", algorithm="none"),
        *(
            jwt.encode(right | wrong, base64.b64decode(PRIVATE), algorithm="EdDSA")
            for wrong in (expired, {"aud": "proofgraph-subgraphs"}, {"iss": "x"}, {"sub": "x"})
        ),
    ]


@pytest.mark.parametrize("token", false_tokens())
async def test_a_false_token_is_refused(service: httpx.AsyncClient, token: str) -> None:
    with counted_statements() as statements:
        answer = await service.get("/check", headers={"authorization": f"Bearer {token}"})

    assert refusal(answer) == (401, "UNAUTHENTICATED")
    assert statements == []


async def test_another_scheme_is_refused(service: httpx.AsyncClient) -> None:
    answer = await service.get("/check", headers={"authorization": "Basic YTpi"})

    assert refusal(answer) == (401, "UNAUTHENTICATED")


async def test_a_site_key_that_is_too_long_is_not_looked_up(service: httpx.AsyncClient) -> None:
    with counted_statements() as statements:
        answer = await service.get("/check", headers={"x-proofgraph-site-key": "x" * 10_000})

    assert refusal(answer) == (401, "UNAUTHENTICATED")
    assert statements == []


async def test_an_unknown_site_key_is_refused(service: httpx.AsyncClient) -> None:
    answer = await service.get("/check", headers={"x-proofgraph-site-key": "pk_unknown"})

    assert refusal(answer) == (401, "UNAUTHENTICATED")


async def end(shop: Shop, session_id: UUID) -> None:
    async with db.transaction(shop.owner) as session:
        await credentials.store_ended_session(
            session, session_id=session_id, expires_at=datetime.now(UTC) + timedelta(hours=1)
        )


async def test_an_ended_session_is_refused(service: httpx.AsyncClient, shop: Shop) -> None:
    await end(shop, ended := new_id())

    assert refusal(await service.get("/check", headers=bearer(shop.owner.id, ended))) == (
        401,
        "UNAUTHENTICATED",
    )
    other = await service.get("/check", headers=bearer(shop.owner.id))
    assert viewer_of(other).id == shop.owner.id


async def test_a_session_that_ends_is_refused_once_the_cache_has_aged(
    service: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("router.authz.cache.monotonic", clock)
    shown = bearer(shop.owner.id, ended := new_id())
    viewer_of(await service.get("/check", headers=shown))
    await end(shop, ended)

    clock.now += credentials.CACHE_SECONDS - 0.1
    assert viewer_of(await service.get("/check", headers=shown)).id == shop.owner.id
    clock.now += 0.2
    assert refusal(await service.get("/check", headers=shown)) == (401, "UNAUTHENTICATED")


async def test_what_is_announced_is_looked_up_anew(shop: Shop) -> None:
    app = authz()
    shown, ended = bearer(shop.owner.id, session := new_id()), new_id()
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://authz") as service,
        app.router.lifespan_context(app),
    ):
        viewer_of(await service.get("/check", headers=shown))
        await end(shop, session)

        async def answer() -> int:
            await invalidation.publish(Change("session", session), Change("session", ended))
            return (await service.get("/check", headers=shown)).status_code

        await eventually(answer, lambda status: status == 401, seconds=2)


async def test_who_asks_for_it_gets_an_answer_looked_up_anew(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    shown = bearer(shop.owner.id, session := new_id())
    viewer_of(await service.get("/check", headers=shown))
    await end(shop, session)

    fresh = await service.get("/check", headers={**shown, "cache-control": "no-cache"})

    assert refusal(fresh) == (401, "UNAUTHENTICATED")
    assert refusal(await service.get("/check", headers=shown)) == (401, "UNAUTHENTICATED")


async def test_a_token_is_good_to_its_last_second_and_no_longer(
    service: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifetime = timedelta(seconds=2)
    monkeypatch.setattr("subgraphs.kernel.identity.sessions.SESSION_LIFETIME", lifetime)
    shown = bearer(shop.owner.id)

    assert viewer_of(await service.get("/check", headers=shown)).id == shop.owner.id
    await asyncio.sleep(lifetime.total_seconds())
    assert refusal(await service.get("/check", headers=shown)) == (401, "UNAUTHENTICATED")


async def test_two_credentials_are_one_too_many(service: httpx.AsyncClient, shop: Shop) -> None:
    both = [*bearer(shop.owner.id).items(), *key_of(shop).items()]
    twice = [*bearer(shop.owner.id).items(), *bearer(shop.owner.id).items()]

    assert refusal(await service.get("/check", headers=both)) == (400, "BAD_USER_INPUT")
    assert refusal(await service.get("/check", headers=twice)) == (400, "BAD_USER_INPUT")


async def test_a_site_key_works_on_pages_of_its_site_alone(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    async with db.read_session(shop.owner) as session:
        domain = await session.scalar(text("SELECT domain FROM sites"))

    own = key_of(shop, origin=f"https://www.{domain}")
    foreign = key_of(shop, origin="https://shop.example.net")

    assert viewer_of(await service.get("/check", headers=own)).id == shop.site_id
    assert refusal(await service.get("/check", headers=foreign)) == (403, "FORBIDDEN")


async def test_a_preflight_is_nobodys(service: httpx.AsyncClient, shop: Shop) -> None:
    for headers in ({}, bearer(shop.owner.id), {"authorization": "Bearer false"}):
        assert viewer_of(await service.options("/check", headers=headers)) == NOBODY


async def test_it_costs_two_statements_at_most_and_then_none(
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


async def test_a_burst_costs_what_one_request_costs(service: httpx.AsyncClient, shop: Shop) -> None:
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


def test_a_signature_is_used_again_while_it_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("router.authz.signatures.monotonic", clock)
    signer = CountingSigner(PRIVATE)
    signatures = Signatures(signer)
    other = Viewer(ViewerKind.SITE, new_id())

    counts = []
    for seconds, viewer in ((0, NOBODY), (19, NOBODY), (0, other), (2, NOBODY), (0, other)):
        clock.now += seconds
        assert ViewerVerifier(PUBLIC).verify({VIEWER_HEADER: signatures.of(viewer)}) == viewer
        counts.append(signer.signed)

    assert counts == [1, 1, 2, 3, 3]
    assert REUSED_FOR < VIEWER_LIFETIME / 2


async def test_while_postgresql_is_away_nobody_is_let_in_who_shows_something(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    async with postgresql_at(free_port()):
        assert viewer_of(await service.get("/check")) == NOBODY
        for headers in (bearer(shop.owner.id), key_of(shop)):
            assert refusal(await service.get("/check", headers=headers)) == (503, "UNAVAILABLE")
        assert (await service.get("/healthz")).text == "ok"
        assert (await service.get("/readyz")).status_code == 503

    for headers in (bearer(shop.owner.id), key_of(shop)):
        assert viewer_of(await service.get("/check", headers=headers)).account_ids
    assert (await service.get("/readyz")).text == "ok"


async def test_a_postgresql_that_does_not_answer_is_not_waited_for(
    service: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.authz.check.LOOK_UP_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with postgresql_at(silent.getsockname()[1]):
            answer = await service.get("/check", headers=bearer(shop.owner.id))

    assert refusal(answer) == (503, "UNAVAILABLE")
