"""Live channels: what visitors and dashboards of a site are shown, in order, with a replay.

    cursor = await live.publish(live.claims_of(site_id), claim_id, {"text": "…"})
    async for entry in live.subscribe(live.claims_of(site_id), after=cursor):
        ...

A channel is a Redis stream; an entry's stream ID is its public cursor. A pub/sub broadcast wakes
the subscribers. It carries no data, so a lost wake-up delays entries and loses none.

Owns the channels' keys and wake-ups. What an entry's data means belongs to the domains.
"""

from subgraphs.kernel.live.channel import (
    BUFFERED,
    Entry,
    Message,
    activity_of,
    claims_of,
    publish,
    publish_all,
    subscribe,
    trim,
)
from subgraphs.kernel.live.wakeups import dispose

__all__ = [
    "BUFFERED",
    "Entry",
    "Message",
    "activity_of",
    "claims_of",
    "dispose",
    "publish",
    "publish_all",
    "subscribe",
    "trim",
]
