"""Readiness checks over HTTP and the Redis protocol."""

from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local.stack.process import NotReady, ReadinessCheck

_ANSWER_SECONDS = 2.0


def http(url: str) -> ReadinessCheck:
    """A check that passes when the address answers 200."""

    # Without trust_env=False a proxy of the user would receive the requests to loopback.
    # Loading certificates, which plain HTTP does not use, would take 20 ms of CPU each time.
    options: dict[str, Any] = {"timeout": _ANSWER_SECONDS, "trust_env": False, "verify": False}

    async def check() -> None:
        try:
            async with httpx.AsyncClient(**options) as client:
                status = (await client.get(url)).status_code
        except httpx.HTTPError as error:
            raise NotReady(f"{url}: {error or type(error).__name__}") from error
        if status != 200:
            raise NotReady(f"{url} answers {status}")

    return check


def redis(url: str) -> ReadinessCheck:
    """A check that passes when the server answers PING, which it does once its file is loaded."""

    async def check() -> None:
        client = Redis.from_url(url, socket_timeout=_ANSWER_SECONDS)
        try:
            await client.ping()
        except (RedisError, OSError) as error:
            raise NotReady(str(error)) from error
        finally:
            await client.aclose()

    return check
