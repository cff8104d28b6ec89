"""When a process is ready: questions that are asked until the answer is yes."""

from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local.stack.process import Readiness

_ANSWER_SECONDS = 2.0


def http(url: str) -> Readiness:
    """Ready when the address answers 200."""

    # To load the certificates that nobody asks for here would take 20 ms of a core each time.
    options: dict[str, Any] = {"timeout": _ANSWER_SECONDS, "trust_env": False, "verify": False}

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(**options) as client:
                return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False

    return ready


def redis(url: str) -> Readiness:
    """Ready when the server answers PING; while it loads its file it does not."""

    async def ready() -> bool:
        client = Redis.from_url(url, socket_timeout=_ANSWER_SECONDS)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    return ready
