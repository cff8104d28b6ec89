"""The live channel: what a site's visitors and its dashboards are shown, in order, with a replay.

    cursor = await live.publish(live.claims_of(site_id), claim_id, {"text": "…"})
    async for entry in live.subscribe(live.claims_of(site_id), after=cursor):
        ...

A channel is a Redis stream; an entry's id in it is the public cursor. A broadcast wakes those who
follow; it carries nothing, so one that is lost costs time and no entry.
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
from subgraphs.kernel.live.wakes import dispose

__all__ = [
    "BUFFERED",
    "Entry",
    "Message",
    "activity_of",
    "claims_of",
    "dispose",
    "subscribe",
    "trim",
    "publish",
    "publish_all",
]
