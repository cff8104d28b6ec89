"""What `bench-graph` and `bench-edge` query: a merchant's sites, and a dashboard's requests."""

import json
from typing import Any, NamedTuple, cast
from uuid import UUID

import httpx

from subgraphs.integrations import service as integrations
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import VIEWER_HEADER, Viewer, ViewerSigner
from subgraphs.notifications import service as notifications
from tests.bench.http_load import request
from tests.fixtures.graph import user
from tests.fixtures.shop import Shop, more_sites, new_shop

SITES = 100
NOTIFICATIONS = 3
"""Of each of the newest ten sites; each of them has an integration as well."""

ROWS = (
    "query Sites($first: Int!) "
    "{ sites(first: $first) { edges { node { id name domain siteKey createdAt } } } }"
)

DASHBOARD = """
query Dashboard {
  sites(first: 10) {
    edges {
      node {
        id
        name
        domain
        notifications(first: 5) { edges { node { id name status } } }
        integrations(first: 5) { edges { node { id provider status } } }
        subscription { since plan { name monthlyEvents } }
      }
    }
  }
}
"""
"""Four subgraphs: sites, then notifications, integrations and billing at once."""

CHANGE_PLAN = """
mutation ChangePlan($input: ChangePlanInput!) { changePlan(input: $input) { plan { id } } }
"""

_SIGN_UP = """
mutation($input: SignUpInput!) { signUp(input: $input) { token user { id accounts { id } } } }
"""


class World(NamedTuple):
    """A merchant with sites, known to the public port by a token and to a subgraph as a viewer."""

    viewer: Viewer
    token: str
    site_id: UUID
    site_key: str

    def public(self, document: str, **variables: Any) -> bytes:
        """A request to the public port."""
        headers = {"authorization": f"Bearer {self.token}"}
        return request("/graphql", _body(document, variables), headers=headers)

    def internal(self, path: str, document: str, **variables: Any) -> bytes:
        """A request to a subgraph or the router, with the viewer header that Envoy adds."""
        signer = ViewerSigner(settings().viewer_signing_key.get_secret_value())
        headers = {VIEWER_HEADER: signer.sign(self.viewer)}
        return request(path, _body(document, variables), headers=headers)


def plain(path: str, document: str, **variables: Any) -> bytes:
    """A request without credentials, for a peer that checks none."""
    return request(path, _body(document, variables))


async def create_world(url: str) -> World:
    """Sign a merchant up through the public port, and write their sites to PostgreSQL."""
    fields = {
        "email": "bench@example.com",
        "password": "correct horse",
        "fullName": "Anna Berg",
        "accountName": "Shops",
    }
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        body = {"query": _SIGN_UP, "variables": {"input": fields}}
        response = (await client.post("/graphql", json=body)).json()
    assert not response.get("errors"), response
    signed_up = response["data"]["signUp"]
    owner = user(UUID(signed_up["user"]["id"]), UUID(signed_up["user"]["accounts"][0]["id"]))
    shop = await new_shop(owner)
    sites = await more_sites(shop, SITES - 1)
    for site_id in sorted(sites)[-10:]:
        await _fill(shop, site_id)
    return World(owner, cast(str, signed_up["token"]), shop.site_id, shop.site_key)


async def _fill(shop: Shop, site_id: UUID) -> None:
    async with db.transaction(shop.owner) as session:
        await integrations.connect_shopify(session, account_id=shop.account_id, site_id=site_id)
        for number in range(NOTIFICATIONS):
            row = await notifications.create(
                session,
                account_id=shop.account_id,
                site_id=site_id,
                name=f"Orders {number}",
                type_="RECENT_ORDER",
            )
            notifications.activate(row)


def _body(document: str, variables: dict[str, Any]) -> bytes:
    return json.dumps({"query": document, "variables": variables}).encode()
