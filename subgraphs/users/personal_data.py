"""Sessions that may read and write personal data: the transaction carries the key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import Viewer

_UNLOCK = text("SELECT set_config('proofgraph.pii_key', :key, true)")


async def unlock(session: AsyncSession) -> None:
    """Set the key that encrypts and decrypts personal data, for this transaction."""
    await session.execute(_UNLOCK, {"key": settings().pii_key.get_secret_value()})


@asynccontextmanager
async def transaction(viewer: Viewer) -> AsyncIterator[AsyncSession]:
    """`db.transaction`, with the key set."""
    async with db.transaction(viewer) as session:
        await unlock(session)
        yield session
