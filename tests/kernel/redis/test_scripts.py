"""Lua scripts on a real Valkey."""

from typing import Any

from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis.scripts import Call, Script, run
from tests.fixtures.valkey import Valkey


async def test_all_calls_run_in_order_on_a_server_without_the_script(
    valkey: Valkey,
) -> None:
    echo = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
    async with connect(valkey.url) as client:
        await client.config_resetstat()

        lengths = await run(client, echo, [Call(["list"], [number]) for number in range(5)])

        assert lengths == [1, 2, 3, 4, 5]
        assert await client.lrange("list", 0, -1) == [b"0", b"1", b"2", b"3", b"4"]
        stats: Any = await client.info("errorstats")
        assert stats == {}


async def test_no_calls_have_no_replies(valkey: Valkey) -> None:
    async with connect(valkey.url) as client:
        assert await run(client, Script("return 1"), []) == []
