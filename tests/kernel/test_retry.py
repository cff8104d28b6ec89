"""Whose fault an error is, told from what the real stores raise."""

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


async def a_statement_that_takes_too_long() -> None:
    async with db.service_transaction() as session:
        await session.execute(text("SET LOCAL statement_timeout = 10"))
        await session.execute(text("SELECT pg_sleep(5)"))


async def nobody_listens_for_sql() -> None:
    engine = create_async_engine(f"postgresql+asyncpg://a:b@127.0.0.1:{free_port()}/c")
    try:
        async with engine.connect():
            pass
    finally:
        await engine.dispose()


async def nobody_listens_for_redis() -> None:
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as client:
        await client.ping()


async def a_row_that_does_not_fit() -> None:
    client = await clickhouse.client()
    await client.insert("rolled_hours", [["no time", True, 1]])


DATA: list[Callable[[], Awaitable[None]]] = [
    lambda: sql("SELECT CAST(:value AS text)", value="a\x00b"),
    lambda: sql("SELECT CAST(:value AS text)", value=5),
    lambda: sql("SELECT CAST('x' AS uuid)"),
    lambda: sql("INSERT INTO outbox (id) VALUES (NULL)"),
    a_row_that_does_not_fit,
]
STORES: list[Callable[[], Awaitable[None]]] = [
    lambda: sql("SELECT 1 FROM there_is_no_such_table"),
    lambda: sql("DELETE FROM users"),
    lambda: sql(
        "INSERT INTO notification_events SELECT created_at, gen_random_uuid(), gen_random_uuid(),"
        " gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'shown', created_at"
        " FROM (VALUES (timestamptz '1800-01-01')) AS v (created_at)"
    ),
    a_statement_that_takes_too_long,
    lambda: sql("SELECT pg_terminate_backend(pg_backend_pid())"),
    lambda: query("SELECT 1 FROM there_is_no_such_table"),
    lambda: query("SELECT throwIf(1, 'unwell')"),
    nobody_listens_for_sql,
    nobody_listens_for_redis,
]


@pytest.mark.parametrize("work", DATA)
async def test_data_that_does_not_fit_is_not_tried_again(
    work: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  (any: that is what is asked)
        await retry_while_unavailable("try", work)

    assert not is_store_fault(raised.value)


@pytest.mark.parametrize("work", STORES)
async def test_what_a_store_cannot_do_now_it_may_do_later(
    work: Callable[[], Awaitable[None]],
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await work()

    assert is_store_fault(raised.value)


async def test_work_is_repeated_until_the_store_is_back() -> None:
    tries: list[int] = []

    async def work() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            await nobody_listens_for_redis()
        return "done"

    assert await retry_while_unavailable("try", work) == "done"
    assert tries == [0, 1, 2]
