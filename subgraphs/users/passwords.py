"""Passwords: argon2id, off the event loop, one at a time a core."""

from functools import lru_cache

import anyio
from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_CONCURRENT = 2
"""A hash takes some 50 ms of a core and 64 MiB: a flood of log-ins waits here, not in memory."""

_hasher = PasswordHasher()


async def hashed(password: str) -> str:
    """The hash to keep."""
    return await to_thread.run_sync(_hasher.hash, password, limiter=_limiter())


async def matches(password: str, against: str | None) -> bool:
    """Whether the password is the hashed one; as slow where there is none to compare with."""
    try:
        await to_thread.run_sync(_hasher.verify, against or _decoy(), password, limiter=_limiter())
    except (VerificationError, UnicodeEncodeError):
        return False
    return against is not None


@lru_cache(maxsize=1)
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_CONCURRENT)


@lru_cache(maxsize=1)
def _decoy() -> str:
    return _hasher.hash("nobody has this password")
