"""The step `decode` drops what PostgreSQL cannot store."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from subgraphs.analytics.pipeline.batch import Batch, Drop
from subgraphs.analytics.pipeline.decode import decode
from subgraphs.kernel.streams.envelope import Event, encode
from subgraphs.kernel.streams.interface import Entry

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("Blue Shoes", None),
        ("a NUL \x00", Drop.UNDECODABLE),
        ("\\\x00", Drop.UNDECODABLE),
        (r"mentions \u0000", None),
        (r"and of \\u0000", None),
    ],
)
def test_a_nul_is_undecodable_and_its_escaped_text_is_not(text: str, drop: Drop | None) -> None:
    event = Event(
        id=UUID(int=1),
        site_id=UUID(int=2),
        account_id=UUID(int=3),
        type="order.created",
        occurred_at=NOW,
        captured_at=NOW,
        source="shopify",
        payload={"product": text},
    )
    batch = Batch.of([Entry("1-0", encode(event), 1)])

    decode(batch)

    assert [item.drop for item in batch.items] == [drop]
