"""Fields of other subgraphs in a subscription: the router resolves them, once per event."""

from typing import Any

import pytest

from subgraphs.kernel.identity.viewer import VIEWER_HEADER, ViewerVerifier
from tests.fixtures.keys import PUBLIC
from tests.router.subscriptions.clients import live, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack

PLAN = "{ text site { subscription { plan { id } } } }"
_RANGE = 'start: "2026-01-01T00:00:00Z", end: "2026-01-02T00:00:00Z"'
STATS = f"{{ text notification {{ name stats({_RANGE}) {{ counters {{ shown }} }} }} }}"


async def result_of(stack: GatewayStack, fields: str, **published: Any) -> dict[str, Any]:
    """Returns the payload that a subscriber of these fields gets for claim 1."""
    async with subscribed(stack.url, stack.key) as client:
        await client.send("subscribe", id="2", payload=live(stack.key, fields=fields))
        await stack.wait_for_subscribers(2)
        await stack.publish(1, **published)
        for _ in range(2):
            message = await client.receive()
            if message["id"] == "2":
                payload: dict[str, Any] = message["payload"]
                return payload
    raise AssertionError("no result")


async def test_the_router_resolves_what_the_owner_does_not_have(stack: GatewayStack) -> None:
    stack.router.response = {"data": {"e0": {"subscription": {"plan": {"id": "PRO"}}}}}

    payload = await result_of(stack, PLAN)

    claim = {"text": "1", "site": {"subscription": {"plan": {"id": "PRO"}}}}
    assert payload == {"data": {"liveNotifications": claim}}
    (request,) = stack.router.requests
    assert "e0: site(id: $proofgraphId_e0)" in request["query"]
    assert request["variables"] == {"proofgraphId_e0": stack.key}
    viewer = ViewerVerifier(PUBLIC).verify({VIEWER_HEADER: stack.router.viewers[0]})
    assert viewer.id == stack.site


async def test_one_request_serves_all_subscribers_of_an_operation(stack: GatewayStack) -> None:
    stack.router.response = {"data": {"e0": {"subscription": None}}}
    async with subscribed(stack.url, stack.key) as one, subscribed(stack.url, stack.key) as two:
        for client in (one, two):
            await client.send("subscribe", id="2", payload=live(stack.key, fields=PLAN))
        await stack.wait_for_subscribers(4)
        await stack.publish(1)
        for client in (one, two):
            assert {(await client.receive())["id"] for _ in range(2)} == {"1", "2"}
    assert len(stack.router.requests) == 1


async def test_a_null_entity_needs_no_request(stack: GatewayStack) -> None:
    payload = await result_of(stack, STATS)

    assert payload == {"data": {"liveNotifications": {"text": "1", "notification": None}}}
    assert stack.router.requests == []


@pytest.mark.parametrize(
    ("response", "code", "path"),
    [
        (
            {
                "data": {"e0": None},
                "errors": [
                    {
                        "message": "No.",
                        "path": ["e0", "stats"],
                        "locations": [{"line": 1, "column": 1}],
                        "extensions": {"code": "FORBIDDEN"},
                    }
                ],
            },
            "FORBIDDEN",
            ["liveNotifications", "notification", "stats"],
        ),
        ({"data": {"e0": None}}, "NOT_FOUND", ["liveNotifications", "notification"]),
    ],
)
async def test_a_missing_required_field_nulls_the_nearest_nullable_parent(
    stack: GatewayStack, response: dict[str, Any], code: str, path: list[str]
) -> None:
    """`Notification.stats` must not be null, `Claim.notification` may be."""
    stack.router.response = response

    payload = await result_of(stack, STATS, notification="n1")

    assert payload["data"] == {"liveNotifications": {"text": "1", "notification": None}}
    (error,) = payload["errors"]
    assert (error["extensions"]["code"], error["path"]) == (code, path)
    assert "locations" not in error


async def test_an_error_in_required_fields_up_to_the_root_nulls_the_data(
    stack: GatewayStack,
) -> None:
    """`Site.subscription`, `Claim.site` and `Subscription.liveNotifications` must not be null."""
    await stack.stop("router")

    payload = await result_of(stack, PLAN)

    assert payload["data"] is None
    (error,) = payload["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert error["path"] == ["liveNotifications", "site"]
