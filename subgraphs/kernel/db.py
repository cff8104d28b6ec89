"""Sessions with PostgreSQL.

A loader batch or a look-up opens a `read(viewer)`, for statements of `reads.py`. A mutation opens
one `transaction(viewer)`, which commits once at its end; `read_session(viewer)` is for reads that
need SQLAlchemy's session. All set the viewer's accounts for row-level security, so a statement
without its WHERE returns no other tenant's rows. Work without a viewer
(workers, the webhook receiver, the ingest endpoint, the edge authz) uses `service_transaction()`,
with the worker's role.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import SecretStr
from sqlalchemy import DateTime, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.read_pool import Read, ReadPool

ANSWER_SECONDS = 120.0
"""Longest time for any statement, as for any task. A server that vanished never answers, and a
worker that waited for it would keep its partitions from other workers."""

_NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

_SET_VIEWER = text(
    "SELECT set_config('proofgraph.accounts', :accounts, true),"
    " set_config('proofgraph.user', :user_id, true)"
)


class Base(DeclarativeBase):
    """The declarative base of every domain's models."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True)}


def read(viewer: Viewer) -> Read:
    """A read-only transaction for statements that are compiled once; see `reads.py`."""
    return Read(_read_pool(), viewer)


@asynccontextmanager
async def read_session(viewer: Viewer) -> AsyncIterator[AsyncSession]:
    """A session for reads; changes are rolled back."""
    async with AsyncSession(_app_engine(), expire_on_commit=False) as session:
        await _set_viewer(session, viewer)
        yield session


@asynccontextmanager
async def transaction(viewer: Viewer) -> AsyncIterator[AsyncSession]:
    """The one transaction of a mutation: committed at the end, rolled back on any error."""
    async with AsyncSession(_app_engine(), expire_on_commit=False) as session, session.begin():
        await _set_viewer(session, viewer)
        yield session


@asynccontextmanager
async def service_transaction() -> AsyncIterator[AsyncSession]:
    """A transaction across tenants, with the worker's role; commits at the end."""
    async with AsyncSession(worker_engine(), expire_on_commit=False) as session, session.begin():
        yield session


async def ping(*, worker: bool = False) -> None:
    """Return if PostgreSQL answers.

    Raises:
        Exception: whatever the driver raises when it does not.
    """
    engine = worker_engine() if worker else _app_engine()
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def dispose() -> None:
    """Close the connection pools of this process."""
    if _read_pool.cache_info().currsize:
        await _read_pool().close()
        _read_pool.cache_clear()
    for engine in (_app_engine, worker_engine):
        if engine.cache_info().currsize:
            await engine().dispose()
            engine.cache_clear()


async def _set_viewer(session: AsyncSession, viewer: Viewer) -> None:
    accounts = ",".join(str(account) for account in viewer.account_ids)
    user_id = str(viewer.id) if viewer.kind == "user" else ""
    await session.execute(_SET_VIEWER, {"accounts": accounts, "user_id": user_id})


@lru_cache(maxsize=1)
def _read_pool() -> ReadPool:
    return ReadPool(
        settings().database_url.get_secret_value(),
        size=settings().database_pool_size,
        timeout=ANSWER_SECONDS,
    )


@lru_cache(maxsize=1)
def _app_engine() -> AsyncEngine:
    return _engine(settings().database_url)


@lru_cache(maxsize=1)
def worker_engine() -> AsyncEngine:
    """The connection pool of the worker's role."""
    return _engine(settings().worker_database_url)


def _engine(url: SecretStr) -> AsyncEngine:
    options: dict[str, Any] = {"pool_size": settings().database_pool_size, "max_overflow": 5}
    return create_async_engine(
        asyncpg_url(url.get_secret_value()),
        # A pooled connection may have died with the server; a ping is cheaper than an error.
        pool_pre_ping=True,
        # Errors are logged, and parameters may hold personal data or secrets.
        hide_parameters=True,
        connect_args={"command_timeout": ANSWER_SECONDS},
        **options,
    )


def asyncpg_url(url: str) -> str:
    """Convert a `postgresql://` address to SQLAlchemy's form for asyncpg."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)
