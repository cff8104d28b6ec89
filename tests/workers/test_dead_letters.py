"""The command `workers.dead_letters`."""

import asyncio
import os
import subprocess
import sys

from subgraphs.kernel.redis import connect
from subgraphs.kernel.streams.interface import Record
from subgraphs.kernel.streams.redis.streams import RedisStreams
from tests.fixtures.valkey import Valkey


async def command(valkey: Valkey, *arguments: str) -> tuple[int, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "workers.dead_letters", "--topic", "t", *arguments],
        env={**os.environ, "REDIS_URL": valkey.url, "STREAM_URL": ""},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


async def test_a_dead_letter_is_listed_shown_and_replayed(valkey: Valkey) -> None:
    streams = RedisStreams(connect(valkey.url))
    await streams.append("t", [Record("site", "a", b"body of a")])
    consumer = streams.consumer("t", "g")
    (entry,) = await consumer.read(limit=1, wait=1)
    await consumer.dead_letter(entry, "poison", "ValueError('no')")

    code, listed = await command(valkey, "list")
    letter, reason, detail = listed.rstrip("\n").split("\t")
    shown = await command(valkey, "show", letter)
    back = await command(valkey, "replay", letter)
    again = await command(valkey, "replay", letter)

    assert (code, reason, detail) == (0, "poison", "ValueError('no')")
    assert shown == (0, "body of a\n")
    assert back == (0, "1 replayed\n")
    assert again == (1, "")
    assert [it.body for it in await consumer.read(limit=9, wait=1)] == [b"body of a"]
    await consumer.leave()
    await streams.close()
