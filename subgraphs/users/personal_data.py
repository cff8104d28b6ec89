"""Sessions that may read and write personal data: the transaction carries the key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.reads import ReadSession, Session

_UNLOCK = text("SELECT set_config('proofgraph.pii_key', :key, true)")
_UNLOCK_READ = "SELECT set_config('proofgraph.pii_key', $1, true)"


async def unlock(session: Session) -> None:
    """Set the key that encrypts and decrypts personal data, for this transaction."""
    key = settings().pii_key.get_secret_value()
    if isinstance(session, ReadSession):
        await session.execute(_UNLOCK_READ, key)
    else:
        await session.execute(_UNLOCK, {"key": key})


@asynccontextmanager
async def transaction(viewer: Viewer) -> AsyncIterator[AsyncSession]:
    """`db.transaction`, with the key set."""
    async with db.transaction(viewer) as session:
        await unlock(session)
        yield session
