"""The time of Redis, by which the live channel makes its cursors; it may differ from ours."""

from time import monotonic, time_ns
from typing import Any

import structlog

from router.subscriptions.cursors import Cursor
from subgraphs.kernel import redis
from subgraphs.kernel.retry import is_store_fault

log = structlog.stdlib.get_logger(__name__)

_READING_SECONDS = 5.0
"""How long one reading is used; two clocks drift apart by microseconds in that time."""


class RedisClock:
    """Reads the time of Redis at most every `_READING_SECONDS`, and extrapolates between."""

    def __init__(self) -> None:
        self._read_ms = 0
        """The last reading, in Unix milliseconds."""
        self._read_at = -_READING_SECONDS
        """Our monotonic time when the reading arrived. The extrapolated time is never ahead of
        Redis, because the reading is older than its arrival."""

    async def now(self) -> Cursor:
        """Returns the cursor of this instant; by the local clock until Redis has answered once."""
        if monotonic() - self._read_at >= _READING_SECONDS:
            try:
                time: Any = await redis.client().time()
                seconds, microseconds = time
                self._read_ms = seconds * 1000 + microseconds // 1000
                self._read_at = monotonic()
            except Exception as error:
                if not is_store_fault(error):
                    raise
                log.warning("redis_time_unavailable", error=repr(error))
        if not self._read_ms:
            return time_ns() // 1_000_000, 0
        return self._read_ms + int((monotonic() - self._read_at) * 1000), 0
