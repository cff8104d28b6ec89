"""The ledger's statements in PostgreSQL: rows are copied in, and keys decide which are new.

Nearly always all of a batch is new and its month is there: then COPY puts it where it belongs, and
nothing is faster. A key that is known, or a month that is not, ends that without a trace. The batch
is then copied into a staging table of the connection's own; a trigger there makes the months'
partitions that are missing. One statement moves the rows over in the order of their key: two
writers that meet in the same rows wait for each other and never deadlock.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ledger.copy_rows import copied, copy
from subgraphs.kernel.streams.envelope import Event

WORTH_A_TRY = 100
"""Rows from which on COPY straight into the table is faster, the round trips of its savepoint and
of the counters included."""

Key = tuple[UUID, datetime, UUID, str]
"""Site, time, id and type: what tells one row from another, here and in ClickHouse."""


def key_of(event: Event) -> Key:
    """A source event's."""
    return event.site_id, event.occurred_at, event.id, event.type


class NotificationEvent(NamedTuple):
    """Something that happened to a claim; a row of `notification_events`."""

    created_at: datetime
    id: UUID
    account_id: UUID
    site_id: UUID
    notification_id: UUID
    claim_id: UUID
    event_type: str
    captured_at: datetime
    visitor_id: str | None = None
    page: str | None = None
    variant_id: UUID | None = None
    device: str | None = None
    country: str | None = None
    arm: str | None = None
    revenue_minor: int | None = None
    currency: str | None = None
    source_event_id: UUID | None = None

    @property
    def key(self) -> Key:
        return self.site_id, self.created_at, self.id, self.event_type

    @property
    def metric(self) -> str:
        """The name it is counted by: a conversion's tells what it is owed to."""
        return self.event_type if self.arm in (None, "clicked") else f"converted_{self.arm}"


class _Source(NamedTuple):
    """A row of `events`."""

    time: datetime
    id: UUID
    account_id: UUID
    site_id: UUID
    event_type: str
    captured_at: datetime
    source: str
    visitor_id: str | None
    payload: str


Countable = tuple[UUID, UUID, str]
"""Site, account and metric of something that happened."""


class Counted(NamedTuple):
    """How often something has happened at a site."""

    site_id: UUID
    metric: str
    value: int


_COUNTERS = text("SELECT site_id, metric, value FROM counters WHERE site_id = ANY(:sites)")

# In the order in which the other statement counts: two writers never deadlock.
_COUNT = text("""
    INSERT INTO counters (site_id, account_id, metric, value)
    SELECT * FROM unnest(CAST(:sites AS uuid[]), CAST(:accounts AS uuid[]),
                         CAST(:metrics AS text[]), CAST(:values AS bigint[]))
    ON CONFLICT (site_id, metric) DO UPDATE SET value = counters.value + excluded.value
""")

_STAGING = text("""
    DO $$ BEGIN
        IF to_regclass('pg_temp.staged_happenings') IS NULL THEN
            CREATE TEMP TABLE staged_events (LIKE events) ON COMMIT DELETE ROWS;
            CREATE TRIGGER partitions AFTER INSERT ON staged_events REFERENCING NEW TABLE AS staged
                FOR EACH STATEMENT EXECUTE FUNCTION partition_staged('time');
            CREATE TEMP TABLE staged_happenings (LIKE notification_events) ON COMMIT DELETE ROWS;
            CREATE TRIGGER partitions AFTER INSERT ON staged_happenings
                REFERENCING NEW TABLE AS staged
                FOR EACH STATEMENT EXECUTE FUNCTION partition_staged('created_at');
        END IF;
    END $$
""")


# Those of an earlier call in the same transaction have been moved.
_CLEAR = text("""
    DO $$ BEGIN
        IF to_regclass('pg_temp.staged_happenings') IS NOT NULL THEN
            TRUNCATE staged_happenings;
        END IF;
    END $$
""")


def _moving(
    table: str, staged: str, fields: Sequence[str], *, arm: str = "NULL", counting: str = ""
) -> TextClause:
    """Moves what is staged and answers which rows were new: null for all of them."""
    columns = ", ".join(fields)
    return text(f"""
        WITH added AS (
            INSERT INTO {table} ({columns})
            SELECT {columns} FROM {staged} ORDER BY site_id, {fields[0]}, id, event_type
            ON CONFLICT DO NOTHING
            RETURNING site_id, account_id, {fields[0]}, id, event_type, {arm} AS arm
        ){counting}
        SELECT array_agg(site_id), array_agg({fields[0]}), array_agg(id), array_agg(event_type)
        FROM added
        HAVING count(*) < (SELECT count(*) FROM {staged})
    """)  # noqa: S608 - of our own names


_MOVE_EVENTS = _moving("events", "staged_events", _Source._fields)

_MOVE_NOTIFICATION_EVENTS = _moving(
    "notification_events",
    "staged_happenings",
    NotificationEvent._fields,
    arm="arm",
    counting=""", counted AS (
            INSERT INTO counters (site_id, account_id, metric, value)
            SELECT site_id, account_id, metric, count(*)
            FROM (SELECT site_id, account_id, CASE WHEN coalesce(arm, 'clicked') = 'clicked'
                         THEN event_type ELSE 'converted_' || arm END AS metric FROM added) AS named
            GROUP BY site_id, account_id, metric ORDER BY site_id, metric
            ON CONFLICT (site_id, metric) DO UPDATE SET value = counters.value + excluded.value
        )""",
)


def _stored(table: str, columns: str, time: str) -> TextClause:
    return text(f"""
        SELECT {columns} FROM {table}
        JOIN unnest(CAST(:sites AS uuid[]), CAST(:times AS timestamptz[]), CAST(:ids AS uuid[]),
                    CAST(:types AS text[])) AS known (site, moment, key, kind)
        ON site_id = site AND {time} = moment AND id = key AND event_type = kind
    """)  # noqa: S608 - of our own names


_STORED_EVENTS = _stored(
    "events", ", ".join(_Source._fields[:-1]) + ", CAST(payload AS text) AS payload", "time"
)

_STORED_NOTIFICATION_EVENTS = _stored(
    "notification_events", ", ".join(NotificationEvent._fields), "created_at"
)


async def add_events(session: AsyncSession, events: Sequence[Event]) -> list[Event]:
    """Write down source events; those already there stay as they are.

    Returns:
        Those that were not there.
    """
    if not events:
        return []
    rows = [
        _Source(
            event.occurred_at,
            event.id,
            event.account_id,
            event.site_id,
            event.type,
            event.captured_at,
            event.source,
            event.visitor_id,
            msgspec.json.encode(event.payload).decode(),
        )
        for event in events
    ]
    if len(rows) >= WORTH_A_TRY and await copied(session, "events", _Source._fields, rows):
        return list(events)
    await _stage(session, "staged_events", _Source._fields, rows)
    new = _Fresh.of((await session.execute(_MOVE_EVENTS)).one_or_none())
    if new.is_all:
        return list(events)
    return [event for event in events if new.takes(key_of(event))]


async def add_notification_events(
    session: AsyncSession, rows: Sequence[NotificationEvent], *, more: bool = False
) -> list[NotificationEvent]:
    """Write down what happened to claims and count what is new, in one statement.

    Args:
        more: these are not the first of the transaction.

    Returns:
        Those that were not there.
    """
    if not rows:
        return []
    if len(rows) >= WORTH_A_TRY and await _copied_into_month(session, rows):
        await count(session, [(it.site_id, it.account_id, it.metric) for it in rows])
        return list(rows)
    if more:
        await session.execute(_CLEAR)
    await _stage(session, "staged_happenings", NotificationEvent._fields, rows)
    new = _Fresh.of((await session.execute(_MOVE_NOTIFICATION_EVENTS)).one_or_none())
    if new.is_all:
        return list(rows)
    return [row for row in rows if new.takes(row.key)]


async def stored_events(session: AsyncSession, keys: Sequence[Key]) -> dict[Key, Event]:
    """These source events as they were first written down, as far as they were."""
    if not keys:
        return {}
    rows = await session.execute(_STORED_EVENTS, _columns(keys))
    return {
        (row.site_id, row.time, row.id, row.event_type): Event(
            id=row.id,
            site_id=row.site_id,
            account_id=row.account_id,
            type=row.event_type,
            occurred_at=row.time,
            captured_at=row.captured_at,
            source=row.source,
            visitor_id=row.visitor_id,
            payload=msgspec.json.decode(row.payload),
        )
        for row in rows
    }


async def stored_notification_events(
    session: AsyncSession, keys: Sequence[Key]
) -> dict[Key, NotificationEvent]:
    """What happened to claims, as it was first written down, as far as it was."""
    if not keys:
        return {}
    rows = await session.execute(_STORED_NOTIFICATION_EVENTS, _columns(keys))
    found = [NotificationEvent(*row) for row in rows]
    return {notification_event.key: notification_event for notification_event in found}


def _columns(keys: Sequence[Key]) -> dict[str, object]:
    names = ("sites", "times", "ids", "types")
    return dict(zip(names, map(list, zip(*keys, strict=True)), strict=True))


async def _copied_into_month(session: AsyncSession, rows: Sequence[NotificationEvent]) -> bool:
    months = {(row.created_at.year, row.created_at.month) for row in rows}
    if len(months) > 1:
        return False
    # The table itself has row security, and PostgreSQL no COPY for such.
    table = "notification_events_{:04}_{:02}".format(*months.pop())
    return await copied(session, table, NotificationEvent._fields, rows)


class _Fresh:
    """Which of the staged rows were new."""

    def __init__(self, keys: set[Key] | None) -> None:
        self._keys = keys

    @classmethod
    def of(cls, answer: Any) -> "_Fresh":
        if answer is None:
            return cls(None)
        return cls(set(zip(*(column or () for column in answer), strict=True)))

    @property
    def is_all(self) -> bool:
        return self._keys is None

    def takes(self, key: Key) -> bool:
        """Whether this was new; a row that was staged twice is new once."""
        if self._keys is None:
            return True
        try:
            self._keys.remove(key)
        except KeyError:
            return False
        return True


async def _stage(
    session: AsyncSession, table: str, fields: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    # Also what begins the transaction: the driver by itself would copy outside of it.
    await session.execute(_STAGING)
    await copy(session, table, fields, rows)


async def count(session: AsyncSession, happened: Iterable[Countable]) -> None:
    """Count what is new."""
    found = Counter(happened)
    if not found:
        return
    sites, accounts, metrics = map(list, zip(*sorted(found), strict=True))
    values = [found[key] for key in sorted(found)]
    await session.execute(
        _COUNT, {"sites": sites, "accounts": accounts, "metrics": metrics, "values": values}
    )


async def counters(session: AsyncSession, site_ids: Collection[UUID]) -> list[Counted]:
    """The counters of these sites."""
    if not site_ids:
        return []
    rows = await session.execute(_COUNTERS, {"sites": list(site_ids)})
    return [Counted(*row) for row in rows]
