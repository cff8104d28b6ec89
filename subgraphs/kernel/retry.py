"""Distinguishes unavailable stores from invalid data, and retries while a store is unavailable.

A store's fault passes, so the same work is retried until it succeeds. Invalid data stays invalid,
so the entry is dead-lettered. An unknown error counts as invalid data: it must not block the
entries behind it.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    wait_exponential,
    wait_random,
)

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
"""Upper limit of a pause, and so the longest delay after a store has returned."""

_JITTER_SECONDS = 0.1

_PAUSES = wait_exponential(
    multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS
) + wait_random(0, _JITTER_SECONDS)

_STORES = (
    ("redis.exceptions", "RedisError"),
    ("aiokafka.errors", "KafkaError"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("asyncpg.exceptions", "PostgresError"),
    ("asyncpg.exceptions", "InterfaceError"),
    ("clickhouse_connect.driver.exceptions", "Error"),
)
"""The drivers' base errors, by module. Importing all drivers only for their errors would make each
process start half a second later, so the modules are looked up when an error is judged."""

_DATA = (("clickhouse_connect.driver.exceptions", "DataError"),)

_DATA_STATES = ("21", "22", "23", "54")
"""SQLSTATE classes: cardinality violation, data exception, integrity constraint violation, limit
exceeded (as by a value too long for its index)."""

_STATEMENT_TIMEOUT = "57014"
"""SQLSTATE of a statement that PostgreSQL cancelled at its timeout."""

_NO_PARTITION = "no partition of relation"
"""PostgreSQL's message for a row without a partition. It has no SQLSTATE of its own: PostgreSQL
reports a constraint violation."""


def is_store_fault(error: BaseException) -> bool:
    """Returns whether a store is unavailable, so that the same work may succeed later."""
    if _is_one_of(error, _DATA):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if _NO_PARTITION in str(cause):  # deleted just now: the next attempt creates it again
            return True
        if isinstance(cause, ValueError):  # asyncpg: a value that does not fit its type
            return False
        if str(getattr(cause, "sqlstate", None) or "").startswith(_DATA_STATES):
            return False
        cause = getattr(cause, "orig", None) or cause.__cause__
    # TimeoutError and ConnectionError are OSErrors.
    return isinstance(error, OSError) or _is_one_of(error, _STORES)


def took_too_long(error: BaseException) -> bool:
    """Returns whether PostgreSQL cancelled a statement at its timeout."""
    driver_error = getattr(error, "orig", None) or error  # SQLAlchemy wraps asyncpg's errors
    return getattr(driver_error, "sqlstate", None) == _STATEMENT_TIMEOUT


async def retry_while_unavailable(name: str, work: Callable[[], Awaitable[T]]) -> T:
    """Returns the work's result; repeats the work, with growing pauses, after each store fault.

    Args:
        name: names the work in the log.

    Raises:
        Exception: the first error of the work that is no store fault.
    """

    def log_retry(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "store_unavailable",
            work=name,
            retry_in_s=round(state.upcoming_sleep, 1),
            error=_brief(error),
        )

    async def attempt() -> T:  # tenacity awaits coroutine functions only; `work` may be a lambda
        return await work()

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_store_fault),
        wait=_PAUSES,
        before_sleep=log_retry,
    )
    return await retrying(attempt)


def _is_one_of(error: BaseException, names: tuple[tuple[str, str], ...]) -> bool:
    """Returns whether the error has one of these types; a module not loaded has raised none."""
    loaded = ((sys.modules.get(module), name) for module, name in names)
    return isinstance(error, tuple(getattr(module, name) for module, name in loaded if module))


def _brief(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0] or 'no message'}"
