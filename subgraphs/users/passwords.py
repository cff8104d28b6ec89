"""Password hashes: argon2id, in threads, one at a time per core."""

from functools import lru_cache

import anyio
from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_CONCURRENT = 2
"""Hashes at once. Each takes 50 ms of a core and 64 MiB, so a flood of log-ins queues here."""

_hasher = PasswordHasher()


async def hashed(password: str) -> str:
    """The hash to store, with its parameters and salt."""
    return await to_thread.run_sync(_hasher.hash, password, limiter=_limiter())


async def matches(password: str, against: str | None) -> bool:
    """Whether the password matches a hash.

    Args:
        against: the stored hash. None takes as long and returns False, so that the time does not
            tell whether a user exists.
    """
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
