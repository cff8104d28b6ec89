"""The edge authz behind its own protocol: known credentials are answered from memory."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from router.authz.authenticator import Authenticator
from subgraphs.kernel.identity.viewer import NOBODY
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Change
from tests.fixtures.deadline import eventually
from tests.fixtures.serving import serving
from tests.fixtures.shop import Shop, new_shop
from tests.router.conftest import authz_with_protocol
from tests.router.test_authz import bearer, end, key_of, rejection, viewer_of

pytestmark = pytest.mark.usefixtures("stores")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a service with cold caches."""
    app, protocol = authz_with_protocol()
    async with serving(app, http=protocol) as port:
        yield port


@pytest.fixture
async def service(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
async def shop() -> Shop:
    return await new_shop()


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The headers of every request that went past the protocol."""
    seen: list[object] = []
    authenticate = Authenticator.authenticate

    async def record(self: Authenticator, headers: object) -> object:
        seen.append(headers)
        return await authenticate(self, headers)  # type: ignore[arg-type]

    monkeypatch.setattr(Authenticator, "authenticate", record)
    return seen


async def test_a_known_credential_is_answered_from_memory(
    service: httpx.AsyncClient, shop: Shop, looked_up: list[object]
) -> None:
    for headers, id_ in ((bearer(shop.owner.id), shop.owner.id), (key_of(shop), shop.site_id)):
        first = await service.post("/check/graphql", headers=headers)
        count = len(looked_up)
        again = [await service.get("/check", headers=headers) for _ in range(3)]

        assert {viewer_of(it).id for it in (first, *again)} == {id_}
        assert len(looked_up) == count
    assert len(looked_up) == 2
    assert viewer_of(await service.get("/check/graphql")) == NOBODY
    assert viewer_of(await service.options("/check", headers=bearer(shop.owner.id))) == NOBODY
    assert len(looked_up) == 2


async def test_everything_else_gets_the_service_s_own_response(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    user, key = bearer(shop.owner.id), key_of(shop)
    await service.get("/check", headers=user)
    await service.get("/check", headers=key)

    async def refused(*headers: tuple[str, str], path: str = "/check") -> tuple[int, str]:
        return rejection(await service.get(path, headers=[*headers]))

    for _ in range(2):
        assert await refused(("authorization", "Bearer false")) == (401, "UNAUTHENTICATED")
        assert await refused(("authorization", "Basic x")) == (401, "UNAUTHENTICATED")
        assert await refused(*user.items(), *key.items()) == (400, "BAD_USER_INPUT")
        assert await refused(*user.items(), *user.items()) == (400, "BAD_USER_INPUT")
        elsewhere = ("origin", "https://shop.example.net")
        assert await refused(*key.items(), elsewhere) == (403, "FORBIDDEN")
    assert (await service.get("/healthz", headers=user)).text == "ok"
    assert (await service.get("/checks", headers=user)).status_code == 404


async def test_a_change_invalidates_what_the_protocol_knows(
    service: httpx.AsyncClient, shop: Shop
) -> None:
    headers = bearer(shop.owner.id, session := new_id())
    viewer_of(await service.get("/check", headers=headers))
    viewer_of(await service.get("/check", headers=headers))
    await end(shop, session)

    async def answer() -> int:
        await invalidation.publish(Change("session", session))
        return (await service.get("/check", headers=headers)).status_code

    await eventually(answer, lambda status: status == 401, seconds=2)


async def test_no_cache_goes_past_the_protocol(service: httpx.AsyncClient, shop: Shop) -> None:
    headers = bearer(shop.owner.id, session := new_id())
    viewer_of(await service.get("/check", headers=headers))
    await end(shop, session)

    fresh = await service.get("/check", headers={**headers, "cache-control": "no-cache"})

    assert rejection(fresh) == (401, "UNAUTHENTICATED")


async def test_pipelined_requests_are_answered_in_their_order(port: int, shop: Shop) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    def lines(path: str, **headers: str) -> bytes:
        given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\nhost: authz\r\n{given}\r\n".encode()

    known = lines("/check", **bearer(shop.owner.id), **{"content-length": "3"}) + b"abc"
    unknown = lines("/check", authorization="Bearer false")
    writer.write(known)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readuntil(b"\r\n\r\n")

    writer.write(known + unknown + known + lines("/check") + unknown)
    statuses = []
    for _ in range(5):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        statuses.append(int(head.split()[1]))
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        await reader.readexactly(int(length))

    assert statuses == [200, 401, 200, 200, 401]
    writer.close()
