"""Store faults and invalid data, as the real stores report them."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from subgraphs.kernel import db
from subgraphs.kernel.redis import connect
from subgraphs.kernel.retry import is_store_fault, retry_while_unavailable
from subgraphs.kernel.storage import clickhouse
from tests.fixtures.ports import free_port

pytestmark = pytest.mark.usefixtures("stores")


async def sql(statement: str, **values: object) -> None:
    async with db.service_transaction() as session:
        await session.execute(text(statement), values)


async def query(statement: str) -> None:
    await (await clickhouse.client()).query(statement)


async def statement_timeout() -> None:
    async with db.service_transaction() as session:
        await session.execute(text("SET LOCAL statement_timeout = 10"))
        await session.execute(text("SELECT pg_sleep(5)"))


async def no_postgres() -> None:
    engine = create_async_engine(f"postgresql+asyncpg://a:b@127.0.0.1:{free_port()}/c")
    try:
        async with engine.connect():
            pass
    finally:
        await engine.dispose()


async def no_redis() -> None:
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        await client.ping()


async def invalid_row() -> None:
    client = await clickhouse.client()
    await client.insert("rolled_hours", [["no time", True, 1]])


DATA: list[Callable[[], Awaitable[None]]] = [
    lambda: sql("SELECT CAST(:value AS text)", value="a\x00b"),
    lambda: sql("SELECT CAST(:value AS text)", value=5),
    lambda: sql("SELECT CAST('x' AS uuid)"),
    lambda: sql("INSERT INTO outbox (id) VALUES (NULL)"),
    invalid_row,
]
STORES: list[Callable[[], Awaitable[None]]] = [
    lambda: sql("SELECT 1 FROM there_is_no_such_table"),
    lambda: sql("DELETE FROM users"),
    lambda: sql(
        "INSERT INTO notification_events SELECT created_at, gen_random_uuid(), gen_random_uuid(),"
        " gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'shown', created_at"
        " FROM (VALUES (timestamptz '1800-01-01')) AS v (created_at)"
    ),
    statement_timeout,
    lambda: sql("SELECT pg_terminate_backend(pg_backend_pid())"),
    lambda: query("SELECT 1 FROM there_is_no_such_table"),
    lambda: query("SELECT throwIf(1, 'unwell')"),
    no_postgres,
    no_redis,
]


@pytest.mark.parametrize("work", DATA)
async def test_invalid_data_is_not_retried(
    work: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  (any error: the test judges it)
        await retry_while_unavailable("try", work)

    assert not is_store_fault(raised.value)


@pytest.mark.parametrize("work", STORES)
async def test_an_unavailable_store_is_a_store_fault(
    work: Callable[[], Awaitable[None]],
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await work()

    assert is_store_fault(raised.value)


async def test_work_is_repeated_until_the_store_is_available() -> None:
    attempts: list[int] = []

    async def work() -> str:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            await no_redis()
        return "done"

    assert await retry_while_unavailable("try", work) == "done"
    assert attempts == [0, 1, 2]
