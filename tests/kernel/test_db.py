"""Error messages and time limits of PostgreSQL sessions."""

import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel import db
from subgraphs.kernel.identity.viewer import NOBODY
from subgraphs.kernel.retry import is_store_fault

pytestmark = pytest.mark.usefixtures("stores")


async def test_tenant_statements_time_out_and_worker_statements_do_not() -> None:
    limit = text("SHOW statement_timeout")

    async with db.read_session(NOBODY) as session:
        assert await session.scalar(limit) == "8s"
    async with db.service_transaction() as session:
        assert await session.scalar(limit) == "0"


@pytest.mark.parametrize("opened", [lambda: db.transaction(NOBODY), db.service_transaction])
async def test_an_error_contains_no_parameter_of_its_statement(
    opened: Callable[[], AbstractAsyncContextManager[AsyncSession]],
) -> None:
    secret = uuid4().hex

    with pytest.raises(DBAPIError) as raised:
        async with opened() as session:
            await session.execute(text("SELECT 1 / 0, CAST(:it AS text)"), {"it": secret})

    logged = "".join(traceback.format_exception(raised.value))
    assert "division by zero" in logged
    assert secret not in logged


async def test_a_server_that_does_not_respond_is_a_store_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(db, "ANSWER_SECONDS", 0.2)
    await db.dispose()
    try:
        with pytest.raises(TimeoutError) as raised:
            async with db.service_transaction() as session:
                await session.execute(text("SELECT pg_sleep(60)"))
    finally:
        await db.dispose()

    assert is_store_fault(raised.value)
