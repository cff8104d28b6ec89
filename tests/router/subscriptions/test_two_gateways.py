"""Gateways side by side share nothing but Redis and the subgraphs."""

from router.subscriptions.server import serving
from tests.fixtures.ports import free_port
from tests.router.subscriptions.clients import subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers


async def test_a_client_resumes_on_another_gateway(stack: GatewayStack) -> None:
    port = free_port()
    other = f"http://127.0.0.1:{port}"
    async with serving("127.0.0.1", port):
        async with (
            subscribed(stack.url, stack.key) as first,
            subscribed(other, stack.key) as second,
        ):
            await stack.wait_for_subgraph_subscriptions(2)
            await stack.publish(1, 2)
            claims = await first.claims(2)
            assert claims == await second.claims(2)

        await stack.publish(3)
        async with subscribed(other, stack.key, claims[0]["cursor"]) as resuming:
            assert numbers(await resuming.claims(2)) == [2, 3]
