"""Whose fault an error is: a store that is away or unwell, or the data that was given to it.

The first passes, so the work is done again until it succeeds. The second stays, so the data is put
aside. An error nobody foresaw counts as the data's: it must not hold up what comes behind.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between tries; the longest is what a store's return costs at worst."""

_STORES = (
    ("redis.exceptions", "RedisError"),
    ("aiokafka.errors", "KafkaError"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("asyncpg.exceptions", "PostgresError"),
    ("asyncpg.exceptions", "InterfaceError"),
    ("clickhouse_connect.driver.exceptions", "Error"),
)
"""What the drivers raise, by module. A process has those it needs; to load all of them only to know
their errors would make each of them half a second slower to start."""

_DATA = (("clickhouse_connect.driver.exceptions", "DataError"),)

_DATA_STATES = ("21", "22", "23", "54")
"""SQLSTATE classes: cardinality violation, data exception, integrity constraint violation, limit
exceeded (as by a value too long for its index)."""

_CUT_OFF = "57014"
"""PostgreSQL's SQLSTATE of a statement that it ended at its timeout."""

_NO_PARTITION = "no partition of relation"
"""PostgreSQL calls it a violated constraint; it has no state of its own."""


def is_store_fault(error: BaseException) -> bool:
    """Whether the same work may succeed later."""
    if _is_one_of(error, _DATA):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if _NO_PARTITION in str(cause):  # dropped just now: the next try makes it again
            return True
        if isinstance(cause, ValueError):  # asyncpg: a value that does not fit its type
            return False
        if str(getattr(cause, "sqlstate", None) or "").startswith(_DATA_STATES):
            return False
        cause = getattr(cause, "orig", None) or cause.__cause__
    # TimeoutError and ConnectionError are OSErrors.
    return isinstance(error, OSError) or _is_one_of(error, _STORES)


def took_too_long(error: BaseException) -> bool:
    """Whether it is a statement that PostgreSQL ended at its timeout."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) == _CUT_OFF


def _is_one_of(error: BaseException, names: tuple[tuple[str, str], ...]) -> bool:
    """Whether it is an error of these; a module that is not loaded has raised none."""
    loaded = ((sys.modules.get(module), name) for module, name in names)
    return isinstance(error, tuple(getattr(module, name) for module, name in loaded if module))


async def retry_while_unavailable(what: str, work: Callable[[], Awaitable[T]]) -> T:
    """Do the work, again and again while a store's fault is in the way.

    Args:
        what: names the work in the log.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_store_fault(error):
                raise
            log.warning("%s: %s; again in %.1f s", what, _brief(error), pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
