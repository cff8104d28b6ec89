"""Adds rows to the ledger once; their keys decide which are new.

Usually all rows of a batch are new and their month's partition exists. COPY then writes them
straight into the table, which is fastest. An existing key or a missing partition fails the COPY
without an effect. The rows are then copied into a temporary staging table; its trigger creates the
missing partitions. One statement moves the rows in the order of their key, so that two writers with
the same rows wait for each other and never deadlock.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ledger.copy_rows import copy_rows, try_copy_rows
from subgraphs.analytics.ledger.counting import count
from subgraphs.analytics.ledger.rows import EventRow, Key, NotificationEvent, key_of
from subgraphs.kernel.streams.envelope import Event

MIN_COPY_ROWS = 100
"""Rows from which on COPY straight into the table is faster, including the round trips for its
savepoint and for the counters."""

_CREATE_STAGING = text("""
    DO $$ BEGIN
        IF to_regclass('pg_temp.staged_notification_events') IS NULL THEN
            CREATE TEMP TABLE staged_events (LIKE events) ON COMMIT DELETE ROWS;
            CREATE TRIGGER partitions AFTER INSERT ON staged_events REFERENCING NEW TABLE AS staged
                FOR EACH STATEMENT EXECUTE FUNCTION partition_staged('time');
            CREATE TEMP TABLE staged_notification_events (LIKE notification_events)
                ON COMMIT DELETE ROWS;
            CREATE TRIGGER partitions AFTER INSERT ON staged_notification_events
                REFERENCING NEW TABLE AS staged
                FOR EACH STATEMENT EXECUTE FUNCTION partition_staged('created_at');
        END IF;
    END $$
""")

# An earlier call in the same transaction has moved its rows.
_EMPTY_STAGING = text("""
    DO $$ BEGIN
        IF to_regclass('pg_temp.staged_notification_events') IS NOT NULL THEN
            TRUNCATE staged_notification_events;
        END IF;
    END $$
""")


def _move(
    table: str, staged: str, columns: Sequence[str], *, arm: str = "NULL", counting: str = ""
) -> TextClause:
    """A statement that moves the staged rows and returns the keys of those that were new.

    It returns no row at all when every staged row was new.
    """
    names = ", ".join(columns)
    return text(f"""
        WITH added AS (
            INSERT INTO {table} ({names})
            SELECT {names} FROM {staged} ORDER BY site_id, {columns[0]}, id, event_type
            ON CONFLICT DO NOTHING
            RETURNING site_id, account_id, {columns[0]}, id, event_type, {arm} AS arm
        ){counting}
        SELECT array_agg(site_id), array_agg({columns[0]}), array_agg(id), array_agg(event_type)
        FROM added
        HAVING count(*) < (SELECT count(*) FROM {staged})
    """)  # noqa: S608 - inserts only our own names


_MOVE_EVENTS = _move("events", "staged_events", EventRow._fields)

_MOVE_NOTIFICATION_EVENTS = _move(
    "notification_events",
    "staged_notification_events",
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


async def add_events(session: AsyncSession, events: Sequence[Event]) -> list[Event]:
    """Add source events; rows that exist stay as they are.

    Returns:
        The events that are new.
    """
    if not events:
        return []
    rows = list(map(_event_row, events))
    if len(rows) >= MIN_COPY_ROWS and await try_copy_rows(
        session, "events", EventRow._fields, rows
    ):
        return list(events)
    await _stage(session, "staged_events", EventRow._fields, rows)
    new = _NewKeys.of((await session.execute(_MOVE_EVENTS)).one_or_none())
    return [event for event in events if new.take(key_of(event))]


async def add_notification_events(
    session: AsyncSession, rows: Sequence[NotificationEvent], *, more: bool = False
) -> list[NotificationEvent]:
    """Add notification events and count the new ones; rows that exist stay as they are.

    Args:
        more: whether the transaction has added notification events before.

    Returns:
        The rows that are new.
    """
    if not rows:
        return []
    if len(rows) >= MIN_COPY_ROWS and await _try_copy_into_month(session, rows):
        await count(session, [(row.site_id, row.account_id, row.metric) for row in rows])
        return list(rows)
    if more:
        await session.execute(_EMPTY_STAGING)
    await _stage(session, "staged_notification_events", NotificationEvent._fields, rows)
    new = _NewKeys.of((await session.execute(_MOVE_NOTIFICATION_EVENTS)).one_or_none())
    return [row for row in rows if new.take(row.key)]


def _event_row(event: Event) -> EventRow:
    return EventRow(
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


async def _try_copy_into_month(session: AsyncSession, rows: Sequence[NotificationEvent]) -> bool:
    months = {(row.created_at.year, row.created_at.month) for row in rows}
    if len(months) > 1:
        return False
    # PostgreSQL does not COPY into a table with row security, as the partitioned table has.
    table = "notification_events_{:04}_{:02}".format(*months.pop())
    return await try_copy_rows(session, table, NotificationEvent._fields, rows)


async def _stage(
    session: AsyncSession, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    await session.execute(_CREATE_STAGING)  # also begins the transaction, as copy_rows requires
    await copy_rows(session, table, columns, rows)


class _NewKeys:
    """The keys of the staged rows that were new; None for all."""

    def __init__(self, keys: set[Key] | None) -> None:
        self._keys = keys

    @classmethod
    def of(cls, answer: Any) -> "_NewKeys":
        """The keys in the answer of a statement of `_move`."""
        if answer is None:
            return cls(None)
        return cls(set(zip(*(column or () for column in answer), strict=True)))

    def take(self, key: Key) -> bool:
        """Whether the row was new; a row that was staged twice is new once."""
        if self._keys is None:
            return True
        try:
            self._keys.remove(key)
        except KeyError:
            return False
        return True
