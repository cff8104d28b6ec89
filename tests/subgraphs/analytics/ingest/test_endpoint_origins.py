"""Which pages may use a site key, and which may read the response."""

import httpx

from subgraphs.analytics.ingest.admission import MAX_ORIGIN
from subgraphs.kernel import db
from subgraphs.kernel.identity.tenants import Tenant
from tests.fixtures.ingest import IngestProcess, body, error_of, post, shown
from tests.fixtures.shop import Shop, new_shop


async def test_a_page_of_another_origin_may_not_use_the_key(
    client: httpx.AsyncClient, ingest: IngestProcess
) -> None:
    shop = await new_shop()
    foreign = "https://evil.example"

    answer = await post(client, body(shop, shown()), Origin=foreign)

    assert error_of(answer) == (403, "FORBIDDEN")
    assert answer.headers["access-control-allow-origin"] == foreign
    assert await ingest.stored_events() == []


async def test_the_shops_own_page_may_read_the_response(client: httpx.AsyncClient) -> None:
    shop = await new_shop()
    here = f"https://{await domain_of(shop)}"

    answer = await post(client, body(shop, shown()), Origin=here, **{"Content-Type": "text/plain"})

    assert answer.status_code == 202
    assert answer.headers["access-control-allow-origin"] == here
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_origin_may_have_the_longest_possible_host(client: httpx.AsyncClient) -> None:
    shop = await new_shop()
    before, after = "https://", f".{await domain_of(shop)}"
    longest = before + "a" * (MAX_ORIGIN - len(before + after)) + after

    accepted = await post(client, body(shop, shown()), Origin=longest)
    refused = await post(client, body(shop, shown()), Origin=longest.replace("a.", "aa.", 1))

    assert accepted.status_code == 202
    assert error_of(refused) == (403, "FORBIDDEN")


async def domain_of(shop: Shop) -> str:
    async with db.read_session(shop.owner) as session:
        tenant = await session.get(Tenant, shop.site_id)
    assert tenant is not None
    return tenant.domain


async def test_a_preflight_is_answered(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v1/events", headers={"Origin": "https://any.example"})

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "https://any.example"
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"
