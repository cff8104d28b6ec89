"""The demo dashboard and GraphiQL in the browser, under the headers they are served with."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphql import build_schema, introspection_from_schema
from playwright.async_api import BrowserContext, Page, expect

from tests.fixtures.deadline import eventually
from tests.snippet.stand import Json, Stand

SCHEMA = """
type Query { me: User }
type User { fullName: String }
type Session { token: String! }
input LogInInput { email: String!, password: String! }
type Mutation { logIn(input: LogInInput!): Session! }
type Claim { id: ID!, cursor: String!, text: String!, url: String, occurredAt: String! }
type Subscription { liveNotifications(siteKey: String!, after: String): Claim! }
"""

EXAMPLE_PASSWORD = "a long password"
"""What GraphiQL's example logs in with."""


class Graph:
    """The answers a dashboard gets."""

    def __init__(self) -> None:
        self.token = "good"
        self.asked: list[str] = []

    def __call__(self, request: Json, token: str | None) -> Json:
        query = request["query"]
        if "IntrospectionQuery" in query:
            return {"data": introspection_from_schema(build_schema(SCHEMA))}
        if "LogIn" in query:
            if request["variables"]["input"]["password"] not in ("right", EXAMPLE_PASSWORD):
                return _error("E-mail or password is wrong.")
            return {"data": {"logIn": {"token": self.token, "user": {"fullName": "Anna"}}}}
        if token != self.token:
            return _error("The session has ended.")
        self.asked.append(query)
        if "analytics" in query:
            return {"data": {"site": {"name": "Berg", "analytics": _analytics(request)}}}
        site = {"id": "s1", "name": "Berg", "domain": "berg.example", "siteKey": "pk_test"}
        return {"data": {"sites": {"edges": [{"node": site}]}, "me": {"fullName": "Anna"}}}


def _error(message: str) -> Json:
    error = {"message": message, "extensions": {"code": "UNAUTHENTICATED"}}
    return {"data": None, "errors": [error]}


def _analytics(request: Json) -> Json:
    start = datetime.fromisoformat(request["variables"]["start"])
    counters = {"published": 4, "shown": 3, "clicked": 0}
    return {
        "totals": {"orders": 5, "published": 4, "shown": 3, "clicked": 0, "dismissed": 1},
        "points": [{"start": (start + timedelta(hours=5)).isoformat(), "counters": counters}],
    }


@pytest.fixture
def graph(stand: Stand) -> Graph:
    stand.graph = Graph()
    return stand.graph


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    page = await context.new_page()
    await page.add_init_script("""
        window.violations = [];
        document.addEventListener("securitypolicyviolation",
          (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    """)
    return page


def _problems(page: Page) -> list[str]:
    seen: list[str] = []
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("console", lambda said: seen.append(said.text) if said.type == "error" else None)
    page.on("requestfailed", lambda request: seen.append(request.url))
    return seen


async def _log_in(page: Page, password: str) -> None:
    await page.get_by_label("E-mail").fill("anna@berg.example")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Log in").click()


async def test_dashboard_shows_what_happened_and_what_happens(
    stand: Stand, graph: Graph, page: Page
) -> None:
    problems = _problems(page)
    now = datetime.now(UTC).isoformat()
    event: dict[str, Any] = {"type": "claim.shown", "occurredAt": now, "claimId": "c1"}
    late = {**event, "type": "claim.clicked", "text": "<b>Mia</b> from Oslo bought Shoes"}
    events = [{**event, "text": "Anna from Oslo bought Shoes"}, late]
    counters = {"orders": 40, "published": 1200, "shown": 900, "clicked": 30, "converted": 2}
    stand.stream = [{"siteActivity": {"cursor": "1-0", "counters": counters, "events": events}}]

    await page.goto(f"{stand.origin}/demo/dashboard.html")
    await _log_in(page, "right")

    await expect(page.get_by_role("heading", level=1)).to_have_text("Berg · berg.example")
    await expect(page.locator("#totals dd")).to_have_text(["5", "4", "3", "0", "1"])
    await expect(page.locator("#chart rect")).to_have_count(2)
    await expect(page.locator("#table tbody tr")).to_have_count(24)
    await expect(page.locator("#live")).to_have_text("connected")
    await expect(page.locator("#feed li span:nth-child(2)")).to_have_text(
        ["<b>Mia</b> from Oslo bought Shoes", "Anna from Oslo bought Shoes"]
    )
    await expect(page.locator("#counters dd")).to_have_text(["40", "1,200", "900", "30", "2"])
    assert stand.inits == [{"authorization": "Bearer good"}]
    assert stand.subscribed == [{"siteId": "s1", "a": None}]
    link = await page.get_by_role("link", name="Open the shop").get_attribute("href")
    assert link == "/demo/shop.html?key=pk_test"
    assert await page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert await page.evaluate("violations") == []
    assert problems == []


async def test_dashboard_says_what_went_wrong(stand: Stand, graph: Graph, page: Page) -> None:
    await page.goto(f"{stand.origin}/demo/dashboard.html")
    await _log_in(page, "wrong")
    await expect(page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
    assert graph.asked == []

    await _log_in(page, "right")
    await expect(page.locator("#live")).to_have_text("connected")
    await expect(page.get_by_role("alert")).to_be_hidden()

    graph.token = "another"
    await page.locator("#site").dispatch_event("change")
    await expect(page.get_by_role("alert")).to_have_text(
        "Your session has ended. Please log in again."
    )
    await expect(page.locator("#login")).to_be_visible()
    await expect(page.locator("#board")).to_be_hidden()

    await page.route("**/graphql", lambda route: route.abort())
    await _log_in(page, "right")
    await expect(page.get_by_role("alert")).to_have_text(
        "The server does not answer. Is the stack up?"
    )


async def test_dashboard_leads_to_the_log_in_when_the_live_door_refuses(
    stand: Stand, graph: Graph, page: Page
) -> None:
    stand.refuse_key = True
    await page.goto(f"{stand.origin}/demo/dashboard.html")
    await _log_in(page, "right")
    await expect(page.get_by_role("alert")).to_have_text(
        "Your session has ended. Please log in again."
    )


async def test_graphiql_runs_from_here_alone(stand: Stand, graph: Graph, page: Page) -> None:
    problems = _problems(page)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url.split("/", 3)[2]))

    await page.goto(f"{stand.origin}/graphiql")
    tabs = page.get_by_role("tab")
    await expect(tabs).to_have_count(8)
    await expect(tabs.first).to_contain_text("SignUp")
    await expect(page.locator(".graphiql-editor-tool .view-lines").first).to_contain_text("Anna")

    # What one tab learns, the next ones send.
    await tabs.nth(1).click()
    await _run(page)
    await expect(_response(page)).to_contain_text("good")
    await tabs.nth(5).click()
    await _run(page)
    await expect(_response(page)).to_contain_text("Anna")
    assert any("me {" in query for query in graph.asked)

    await tabs.nth(7).click()
    await _run(page)
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()

    async def subscribed() -> int:
        return len(stand.subscribed)

    await eventually(subscribed, lambda count: count == 1, seconds=8)
    await stand.publish("Anna from Oslo bought Shoes", at=datetime.now(UTC).isoformat())
    await expect(_response(page)).to_contain_text("Anna from Oslo bought Shoes")
    assert stand.inits == [{"siteKey": "pk_test"}]
    assert stand.subscribed == [{"siteKey": "pk_test", "after": None}]

    async def workers() -> list[str]:
        return sorted(worker.url.rsplit("/", 1)[-1] for worker in page.workers)

    known = ["editor.worker.js", "graphql.worker.js", "json.worker.js"]
    await eventually(workers, lambda running: running == known, seconds=8)
    assert {host for host in asked if host} == {stand.origin.removeprefix("http://")}
    assert await page.evaluate("violations") == []
    assert problems == []


async def _run(page: Page) -> None:
    await page.get_by_role("button", name="Execute").click()


def _response(page: Page) -> Any:
    return page.locator(".graphiql-response .view-lines")
