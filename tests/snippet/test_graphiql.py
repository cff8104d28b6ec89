"""GraphiQL in the browser, with the headers that the pages service sends."""

from datetime import UTC, datetime

import pytest
from playwright.async_api import Locator, Page, expect

from tests.fixtures.deadline import eventually
from tests.snippet.graphql_api import GraphQLApi
from tests.snippet.server import Server

TEXT = "Anna from Oslo bought Shoes"


async def _open_tab(page: Page, number: int) -> None:
    await expect(page.locator(".graphiql-query-editor .view-line").first).to_be_visible()
    await page.get_by_role("tab").nth(number).click()


async def _run(page: Page) -> None:
    await page.get_by_role("button", name="Execute").click()


def _response(page: Page) -> Locator:
    return page.locator(".graphiql-response .view-lines")


def _demo_order(page: Page) -> Locator:
    return page.get_by_role("button", name="Send a demo order")


async def _wait_until_subscribed(server: Server) -> None:
    async def subscribed() -> int:
        return len(server.subscribed)

    await eventually(subscribed, lambda count: count == 1, seconds=8)


async def test_runs_with_files_of_its_own_origin_only(
    server: Server, api: GraphQLApi, page: Page, problems: list[str]
) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/", 3)[2]))

    await page.goto(f"{server.origin}/graphiql")
    await expect(page.get_by_role("tab")).to_have_count(8)
    await expect(page.get_by_role("tab").first).to_contain_text("SignUp")
    await expect(page.locator(".graphiql-editor-tool .view-lines").first).to_contain_text("Anna")

    # Each tab fills its empty variables with values of earlier responses.
    await _open_tab(page, 1)
    await _run(page)
    await expect(_response(page)).to_contain_text("good")
    await _open_tab(page, 5)
    await _run(page)
    await expect(_response(page)).to_contain_text("Anna")
    assert any("me {" in query for query in api.queries)

    await _open_tab(page, 7)
    await _run(page)
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await _wait_until_subscribed(server)
    await server.publish(TEXT, at=datetime.now(UTC).isoformat())
    await expect(_response(page)).to_contain_text(TEXT)
    assert server.inits == [{"siteKey": "pk_test"}]
    assert server.subscribed == [{"siteKey": "pk_test", "after": None}]

    async def workers() -> list[str]:
        return sorted(worker.url.rsplit("/", 1)[-1] for worker in page.workers)

    expected = ["editor.worker.js", "graphql.worker.js", "json.worker.js"]
    await eventually(workers, lambda running: running == expected, seconds=8)
    assert {host for host in hosts if host} == {server.origin.removeprefix("http://")}
    assert await page.evaluate("violations") == []
    assert problems == []


async def test_the_live_tab_runs_with_the_site_key_of_the_demo_shop(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    server.demo_site_key = "pk_demo"
    await page.goto(f"{server.origin}/graphiql")
    await _open_tab(page, 7)
    await expect(page.locator(".demo-order code")).to_have_text("pk_demo")
    await _run(page)

    await _wait_until_subscribed(server)
    assert server.inits == [{"siteKey": "pk_demo"}]
    assert server.subscribed == [{"siteKey": "pk_demo", "after": None}]


async def test_a_site_key_of_a_response_comes_before_the_demo_shop(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    server.demo_site_key = "pk_demo"
    await page.goto(f"{server.origin}/graphiql")
    await _open_tab(page, 1)
    await _run(page)
    await expect(_response(page)).to_contain_text("good")
    await _open_tab(page, 5)
    await _run(page)
    await expect(_response(page)).to_contain_text("pk_test")
    await _open_tab(page, 7)
    await expect(_demo_order(page)).to_be_visible()
    await _run(page)

    await _wait_until_subscribed(server)
    assert server.subscribed == [{"siteKey": "pk_test", "after": None}]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "Order order-1 sent to the demo shop."),
        ("There is no shop.", "The order was not sent: There is no shop."),
    ],
)
async def test_the_live_tab_sends_a_demo_order(
    server: Server, api: GraphQLApi, page: Page, error: str | None, result: str
) -> None:
    server.demo_site_key = "pk_demo"
    server.demo_error = error
    await page.goto(f"{server.origin}/graphiql")
    await _open_tab(page, 7)
    await expect(_demo_order(page)).to_be_visible()
    assert server.demo_orders == 0

    await _demo_order(page).click()

    await expect(page.locator(".demo-order").get_by_role("status")).to_have_text(result)
    assert server.demo_orders == 1
    await _open_tab(page, 5)
    await expect(_demo_order(page)).to_be_hidden()


async def test_there_is_no_button_without_a_demo_shop(
    server: Server, api: GraphQLApi, page: Page
) -> None:
    await page.goto(f"{server.origin}/graphiql")
    async with page.expect_response("**/demo/status") as checked:
        await _open_tab(page, 7)
    assert (await checked.value).status == 404
    await _run(page)
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await expect(_demo_order(page)).to_be_hidden()
