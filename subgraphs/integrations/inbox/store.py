"""The inbox's rows and statements: webhooks go in by groups and come out by batches.

The statements run on asyncpg itself. Their arrays make one statement, and one commit, of hundreds
of webhooks; a session of SQLAlchemy for each webhook costs several times as much as its row.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from subgraphs.integrations import sealing
from subgraphs.integrations.models import ReceivedWebhook
from subgraphs.kernel import worker_pool
from subgraphs.kernel.worker_pool import Connection

_FIND_SENDER = """
SELECT id, site_id, account_id, sealed_secret FROM integrations
WHERE id = $1 AND status = 'CONNECTED'
"""

_INSERT = """
INSERT INTO inbox (id, account_id, site_id, integration_id, delivery_id, event_id, topic, body,
                   error, is_backfill, status, processed_at)
SELECT *, CASE WHEN error IS NULL THEN 'RECEIVED' ELSE 'REJECTED' END,
       CASE WHEN error IS NOT NULL THEN now() END
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
            $8::bytea[], $9::text[], $10::boolean[])
     AS new (id, account_id, site_id, integration_id, delivery_id, event_id, topic, body, error,
             is_backfill)
ON CONFLICT (integration_id, delivery_id) DO NOTHING
RETURNING id
"""

# The recursion finds the sites with waiting webhooks, by one probe of the index each. Every site
# then gives its oldest ones in turn, so that a site with a long queue delays no other site.
_SELECT_WAITING = """
WITH RECURSIVE sites AS (
    (SELECT site_id FROM inbox WHERE status = 'RECEIVED' AND is_backfill = $1
     ORDER BY site_id LIMIT 1)
    UNION ALL
    SELECT (SELECT site_id FROM inbox
            WHERE status = 'RECEIVED' AND is_backfill = $1 AND site_id > sites.site_id
            ORDER BY site_id LIMIT 1)
    FROM sites WHERE site_id IS NOT NULL
), oldest AS (
    SELECT turns.* FROM sites CROSS JOIN LATERAL (
        SELECT id, account_id, site_id, topic, body, received_at, octet_length(body) AS size,
               row_number() OVER (ORDER BY id) AS turn
        FROM inbox WHERE status = 'RECEIVED' AND is_backfill = $1 AND site_id = sites.site_id
        ORDER BY id LIMIT $2) AS turns
    ORDER BY turn, id LIMIT $2
), sized AS (
    SELECT *, sum(size) OVER (ORDER BY turn, id) - size AS size_before FROM oldest
)
SELECT id, account_id, site_id, topic, body, received_at FROM sized WHERE size_before < $3
ORDER BY turn, id
"""

_MARK = """
UPDATE inbox SET status = done.status, error = done.error, processed_at = now()
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS done (id, status, error)
WHERE inbox.id = done.id AND inbox.status = 'RECEIVED'
"""

_IS_WAITING = "SELECT EXISTS (SELECT FROM inbox WHERE status = 'RECEIVED')"

_COUNT_WAITING = """
SELECT count(*) FROM (
    SELECT FROM inbox WHERE status = 'RECEIVED' AND NOT is_backfill LIMIT $1) AS waiting
"""

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('inbox', 0))"

MAX_BATCH_BYTES = 8_000_000
"""A batch ends with the webhook that reaches this size."""


class Sender(NamedTuple):
    """An integration, as far as the webhook receiver needs it."""

    integration_id: UUID
    site_id: UUID
    account_id: UUID
    sealed_secret: bytes

    def secret(self) -> bytes:
        """The decrypted webhook secret."""
        return sealing.unseal(self.sealed_secret, context=str(self.integration_id)).encode()


class NewWebhook(NamedTuple):
    """A webhook to store, with the columns in the order of the statement.

    `error` says why the body cannot be read. The webhook is then stored for the merchant to see and
    not processed. `is_backfill` marks what an import fetched; live webhooks are processed first.
    """

    id: UUID
    account_id: UUID
    site_id: UUID
    integration_id: UUID
    delivery_id: str
    event_id: str | None
    topic: str
    body: bytes
    error: str | None = None
    is_backfill: bool = False


class Outcome(NamedTuple):
    """What became of a webhook: `PROCESSED`, `IGNORED`, or `REJECTED` with an error."""

    id: UUID
    status: str
    error: str | None = None


async def find_sender(integration_id: UUID) -> Sender | None:
    """The integration that may send webhooks under this id, or None."""
    async with worker_pool.acquire() as connection:
        row = await connection.fetchrow(_FIND_SENDER, integration_id)
    return Sender(*row) if row else None


async def insert(webhooks: Sequence[NewWebhook]) -> set[UUID]:
    """Store webhooks in one transaction; returns the ids of those that were not stored before.

    Of several webhooks with the same delivery id, one is stored.
    """
    # The same order in every process: concurrent statements then wait and never deadlock.
    ordered = sorted(webhooks, key=lambda webhook: (webhook.integration_id, webhook.delivery_id))
    async with worker_pool.acquire() as connection:
        rows = await connection.fetch(_INSERT, *map(list, zip(*ordered, strict=True)))
    return {row[0] for row in rows}


async def count_waiting(most: int) -> int:
    """The number of live webhooks that are not processed yet, counted up to `most`."""
    async with worker_pool.acquire() as connection:
        return int(await connection.fetchval(_COUNT_WAITING, most))


async def is_waiting(connection: Connection) -> bool:
    """Whether any webhook is not processed yet."""
    return bool(await connection.fetchval(_IS_WAITING))


async def lock(connection: Connection) -> bool:
    """Become the only one to process the inbox until the transaction ends; False if one is."""
    return bool(await connection.fetchval(_LOCK))


async def select_waiting(
    connection: Connection, *, is_backfill: bool, most: int
) -> list[ReceivedWebhook]:
    """The oldest webhooks of each site, site by site in turn; each site's in their order."""
    rows = await connection.fetch(_SELECT_WAITING, is_backfill, most, MAX_BATCH_BYTES)
    return [ReceivedWebhook(*row) for row in rows]


async def mark(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Mark webhooks as processed."""
    await connection.execute(_MARK, *map(list, zip(*outcomes, strict=True)))
