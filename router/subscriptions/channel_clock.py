"""Where a channel is now: its cursors are made by the clock of Redis, which need not be ours."""

import logging
from time import monotonic, time_ns
from typing import Any

from router.subscriptions.cursors import Cursor
from subgraphs.kernel import redis
from subgraphs.kernel.retry import is_store_fault

log = logging.getLogger(__name__)

_GOOD_SECONDS = 5.0
"""How long a reading is counted on; two clocks part by microseconds meanwhile."""


class ChannelClock:
    """The time of Redis, asked for now and then."""

    def __init__(self) -> None:
        self._read = 0
        """Milliseconds, as Redis told."""
        self._read_at = -_GOOD_SECONDS
        """By our monotonic clock, when the answer was here: what is counted on from there is never
        ahead of Redis."""

    async def now(self) -> Cursor:
        """The cursor of this instant; by our own clock while Redis has never answered."""
        if monotonic() - self._read_at >= _GOOD_SECONDS:
            try:
                answer: Any = await redis.client().time()
                seconds, microseconds = answer
                self._read = seconds * 1000 + microseconds // 1000
                self._read_at = monotonic()
            except Exception as error:
                if not is_store_fault(error):
                    raise
                log.warning("the channel's time cannot be told: %r", error)
        if not self._read:
            return time_ns() // 1_000_000, 0
        return self._read + int((monotonic() - self._read_at) * 1000), 0
