"""The step `decode`: decodes each entry's envelope."""

import re

import msgspec

from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, SOURCE_EVENTS, Batch, Drop
from subgraphs.kernel.streams import envelope

# An escaped NUL. An odd number of backslashes before `u0000` makes it one; an even number makes it
# plain text.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def decode(batch: Batch) -> None:
    """Decode the envelopes; drop undecodable entries and unknown event types."""
    for item in batch.items:
        try:
            item.event = envelope.decode(item.entry.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            item.drop = Drop.UNDECODABLE
            continue
        # PostgreSQL's text cannot hold a NUL, nor can its JSON.
        if b"\\u0000" in item.entry.body and _NUL.search(item.entry.body):
            item.drop = Drop.UNDECODABLE
        elif item.event.type not in CLAIM_EVENTS and item.event.type not in SOURCE_EVENTS:
            item.drop = Drop.UNKNOWN_TYPE
