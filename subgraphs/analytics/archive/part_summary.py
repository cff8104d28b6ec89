"""What is written to a part: the number of rows, their fingerprint and each site's share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from subgraphs.analytics.archive.models import Archive, ArchiveShare
from subgraphs.analytics.archive.parquet import TIME_COLUMNS, Column, Row, key_text
from subgraphs.kernel.ids import new_id


@dataclass
class Share:
    """The rows of one site in a part."""

    account_id: UUID
    first_at: datetime
    last_at: datetime
    rows: int = 0


@dataclass
class PartSummary:
    """What was written to a part."""

    rows: int = 0
    fingerprint: int = 0
    last_key: list[str] | None = None
    shares: dict[UUID, Share] = field(default_factory=dict)
    has_more: bool = False
    """Whether a limit ended the part before the last row."""

    def add(self, table: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
        """Add rows to the summary, and return them without their fingerprints."""
        names = [column.name for column in columns]
        site, account = names.index("site_id"), names.index("account_id")
        at, id_, type_ = (
            names.index(TIME_COLUMNS[table]),
            names.index("id"),
            names.index("event_type"),
        )
        for row in rows:
            share = self.shares.get(row[site])
            if share is None:
                share = self.shares[row[site]] = Share(row[account], row[at], row[at])
            share.rows += 1
            share.last_at = row[at]
            self.fingerprint += row[-1]
        last = rows[-1]
        self.last_key = key_text((last[site], last[at], last[id_], last[type_]))
        self.rows += len(rows)
        return [tuple(row)[:-1] for row in rows]


def shares_of(archive: Archive, summary: PartSummary) -> list[ArchiveShare]:
    """The rows of `archive_shares` for a part."""
    return [
        ArchiveShare(
            id=new_id(),
            archive_id=archive.id,
            account_id=share.account_id,
            site_id=site_id,
            table_name=archive.table_name,
            range_start=archive.range_start,
            range_end=archive.range_end,
            first_at=share.first_at,
            last_at=share.last_at,
            rows=share.rows,
            sha256=archive.sha256,
            status="ARCHIVING",
        )
        for site_id, share in summary.shares.items()
    ]
