"""Two tenants: no token or key of one reads or changes anything of the other."""

import asyncio
from typing import Any, NamedTuple

import httpx
import pytest

from deploy.local.demo.merchant import (
    ACTIVATE,
    CONNECT_SHOPIFY,
    CREATE_NOTIFICATION,
    CREATE_SITE,
    ApiError,
    DemoMerchant,
    Shop,
)
from deploy.local.demo.subscriber import subscribe_to_claims
from tests.journeys.conftest import Running, first_activity, new_merchant, new_shop

STATE = """
query State($site: ID!, $notification: ID!, $integration: ID!) {
  site(id: $site) {
    id name domain subscription { plan { id } }
    notifications { edges { node { id name status } } }
    integrations { edges { node { id status } } }
  }
  notification(id: $notification) { id status }
  integration(id: $integration) { id status }
  sites { edges { node { id } } }
}"""

SPAN = 'start: "2026-11-01T00:00:00+00:00", end: "2026-11-02T00:00:00+00:00"'


class Foreign(NamedTuple):
    """A document for another tenant's ids; the values of its variables are fields of `Shop`."""

    document: str
    variables: dict[str, str]


QUERIES = {
    "site": Foreign("query($id: ID!) { site(id: $id) { name siteKey } }", {"id": "site_id"}),
    "sites": Foreign(
        "query($id: ID!) { sites(accountId: $id) { edges { node { id } } } }", {"id": "account_id"}
    ),
    "account": Foreign("query($id: ID!) { account(id: $id) { name } }", {"id": "account_id"}),
    "notification": Foreign(
        "query($id: ID!) { notification(id: $id) { name } }", {"id": "notification_id"}
    ),
    "integration": Foreign(
        "query($id: ID!) { integration(id: $id) { status } }", {"id": "integration_id"}
    ),
    "analytics": Foreign(
        f"query($id: ID!) {{ site(id: $id) {{ analytics({SPAN}) {{ totals {{ shown }} }} }} }}",
        {"id": "site_id"},
    ),
}

MUTATIONS = {
    "createSite": Foreign(CREATE_SITE, {"accountId": "account_id"}),
    "addMember": Foreign(
        "mutation($input: AddMemberInput!) { addMember(input: $input) { role } }",
        {"accountId": "account_id"},
    ),
    "connectShopify": Foreign(CONNECT_SHOPIFY, {"siteId": "site_id"}),
    "createNotification": Foreign(CREATE_NOTIFICATION, {"siteId": "site_id"}),
    "changePlan": Foreign(
        "mutation($input: ChangePlanInput!) { changePlan(input: $input) { plan { id } } }",
        {"siteId": "site_id"},
    ),
}

REST_OF_INPUT = {
    "createSite": {"name": "Taken over", "domain": "taken-over.example.com"},
    "addMember": {"email": "eve@example.com", "role": "OWNER"},
    "connectShopify": {},
    "createNotification": {"name": "Taken over", "type": "RECENT_ORDER"},
    "changePlan": {"planId": "growth"},
}


@pytest.fixture
async def other(public: httpx.AsyncClient) -> DemoMerchant:
    return await new_merchant(public)


async def state_of(merchant: DemoMerchant, shop: Shop) -> Any:
    return await merchant.execute(
        STATE,
        {
            "site": shop.site_id,
            "notification": shop.notification_id,
            "integration": shop.integration_id,
        },
    )


async def refused(merchant: DemoMerchant, document: str, variables: dict[str, Any]) -> list[Any]:
    with pytest.raises(ApiError) as caught:
        await merchant.execute(document, variables)
    return caught.value.codes


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_for_another_tenants_id_is_not_found(
    other: DemoMerchant, shop: Shop, name: str
) -> None:
    document, variables = QUERIES[name]
    ids = {variable: getattr(shop, field) for variable, field in variables.items()}

    assert await refused(other, document, ids) == ["NOT_FOUND"]


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_mutation_of_another_tenants_id_changes_nothing(
    merchant: DemoMerchant, other: DemoMerchant, shop: Shop, name: str
) -> None:
    document, variables = MUTATIONS[name]
    ids = {variable: getattr(shop, field) for variable, field in variables.items()}
    before = await state_of(merchant, shop)

    assert await refused(other, document, {"input": {**ids, **REST_OF_INPUT[name]}}) == [
        "NOT_FOUND"
    ]
    assert await state_of(merchant, shop) == before


@pytest.mark.parametrize("mutation", ["activateNotification", "pauseNotification"])
async def test_the_status_of_another_tenants_notification_does_not_change(
    merchant: DemoMerchant, other: DemoMerchant, shop: Shop, mutation: str
) -> None:
    before = await state_of(merchant, shop)
    document = ACTIVATE.replace("activateNotification", mutation)

    assert await refused(other, document, {"id": shop.notification_id}) == ["NOT_FOUND"]
    assert await state_of(merchant, shop) == before


async def test_a_site_key_subscribes_to_the_claims_of_its_site_alone(
    running: Running, other: DemoMerchant, shop: Shop
) -> None:
    theirs = await new_shop(other)

    async with subscribe_to_claims(running.url, theirs.site_key, watch=shop.site_key) as claims:
        with pytest.raises(RuntimeError, match="NOT_FOUND"):
            await asyncio.wait_for(anext(claims), 10)


async def test_the_activity_of_another_tenants_site_is_not_found(
    running: Running, other: DemoMerchant, shop: Shop
) -> None:
    with pytest.raises(RuntimeError, match="NOT_FOUND"):
        await first_activity(running, other, shop.site_id)


async def test_a_site_key_reads_no_site(public: httpx.AsyncClient, shop: Shop) -> None:
    response = await public.post(
        "/graphql",
        json={"query": f'{{ site(id: "{shop.site_id}") {{ name }} me {{ id }} }}'},
        headers={"X-Proofgraph-Site-Key": shop.site_key},
    )

    assert {error["extensions"]["code"] for error in response.json()["errors"]} == {"FORBIDDEN"}


async def test_a_viewer_header_of_a_client_is_dropped(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    document = {"query": f'{{ site(id: "{shop.site_id}") {{ name }} }}'}

    for name in ("x-proofgraph-viewer", "X-Proofgraph-Viewer", "X_Proofgraph_Viewer"):
        response = await public.post("/graphql", json=document, headers={name: merchant.token})
        if response.status_code != 400:
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert response.json()["data"] == {"site": None}


async def test_a_malformed_token_is_refused_at_the_edge(public: httpx.AsyncClient) -> None:
    response = await public.post(
        "/graphql",
        json={"query": "{ plans { id } }"},
        headers={"Authorization": "Bearer not.a.token"},
    )

    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
