"""Client of a merchant's half of the public API: sign-up, log-in, a connected shop, analytics."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

SIGN_UP = """
mutation SignUp($input: SignUpInput!) {
  signUp(input: $input) { token user { id accounts { id } } }
}"""
LOG_IN = """
mutation LogIn($input: LogInInput!) {
  logIn(input: $input) { token user { id accounts { id } } }
}"""
CREATE_SITE = """
mutation CreateSite($input: CreateSiteInput!) { createSite(input: $input) { id siteKey } }"""
CONNECT_SHOPIFY = """
mutation ConnectShopify($input: ConnectShopifyInput!) {
  connectShopify(input: $input) { url secret integration { id } }
}"""
CREATE_NOTIFICATION = """
mutation CreateNotification($input: CreateNotificationInput!) {
  createNotification(input: $input) { id status }
}"""
ACTIVATE = """
mutation Activate($id: ID!) { activateNotification(id: $id) { id status } }"""
ME = "{ me { id } }"
ANALYTICS = """
query Analytics($id: ID!, $start: DateTime!, $end: DateTime!) {
  site(id: $id) {
    analytics(start: $start, end: $end) {
      totals { orders published shown clicked dismissed }
      points { start counters { orders published shown clicked dismissed } }
    }
  }
}"""


class ApiError(Exception):
    """A GraphQL response with errors.

    Attributes:
        codes: the `extensions.code` of each error.
    """

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(error["message"] for error in errors))
        self.codes = [error.get("extensions", {}).get("code") for error in errors]


class Shop(NamedTuple):
    """A site that is connected to Shopify and shows recent orders."""

    account_id: str
    site_id: str
    site_key: str
    notification_id: str
    integration_id: str
    hook_url: str
    hook_secret: str


class DemoMerchant:
    """A user of the public API.

    Args:
        client: an HTTP client with the public address as its base.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.email = ""
        self.token = ""
        self.user_id = ""
        self.account_id = ""

    async def execute(self, document: str, variables: Mapping[str, Any] | None = None) -> Any:
        """Run a query or mutation; returns `data`.

        Raises:
            ApiError: the response has errors.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        response = await self.client.post(
            "/graphql", json={"query": document, "variables": variables or {}}, headers=headers
        )
        body = response.json()
        if body.get("errors"):
            raise ApiError(body["errors"])
        return body["data"]

    async def sign_up(self, email: str, password: str, *, full_name: str, account: str) -> None:
        """Create a user with an account, and open a session."""
        variables = {
            "email": email,
            "password": password,
            "fullName": full_name,
            "accountName": account,
        }
        self._remember(email, (await self.execute(SIGN_UP, {"input": variables}))["signUp"])

    async def log_in(self, email: str, password: str) -> None:
        """Open a session.

        Raises:
            ApiError: UNAUTHENTICATED, or RATE_LIMITED after ten attempts in five minutes.
        """
        variables = {"email": email, "password": password}
        self._remember(email, (await self.execute(LOG_IN, {"input": variables}))["logIn"])

    async def create_shop(self, *, name: str, domain: str) -> Shop:
        """Create a site, connect it to Shopify and activate a notification of recent orders."""
        site = {"accountId": self.account_id, "name": name, "domain": domain}
        created = (await self.execute(CREATE_SITE, {"input": site}))["createSite"]
        connect = await self.execute(CONNECT_SHOPIFY, {"input": {"siteId": created["id"]}})
        hook = connect["connectShopify"]
        notification = {"siteId": created["id"], "name": "Recent orders", "type": "RECENT_ORDER"}
        create = await self.execute(CREATE_NOTIFICATION, {"input": notification})
        draft = create["createNotification"]
        await self.execute(ACTIVATE, {"id": draft["id"]})
        return Shop(
            account_id=self.account_id,
            site_id=created["id"],
            site_key=created["siteKey"],
            notification_id=draft["id"],
            integration_id=hook["integration"]["id"],
            hook_url=hook["url"],
            hook_secret=hook["secret"],
        )

    def _remember(self, email: str, session: dict[str, Any]) -> None:
        self.email = email
        self.token = session["token"]
        self.user_id = session["user"]["id"]
        self.account_id = session["user"]["accounts"][0]["id"]
