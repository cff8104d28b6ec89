"""The base classes of all loaders: each batch opens one session and loads all its keys."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from aiodataloader import DataLoader
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel import db
from subgraphs.kernel.graphql.paging import Window
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.reads import ReadSession

K = TypeVar("K")
V = TypeVar("V")


class Loader(DataLoader[K, V], Generic[K, V]):
    """A loader; each subclass has one type of key and implements `load_all`."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        async with db.read(self._viewer) as session:
            return await self.load_all(session, keys)

    async def load_all(self, session: ReadSession, keys: Sequence[K]) -> list[V]:
        """The values of these keys, in the order of the keys."""
        raise NotImplementedError


class OrmLoader(DataLoader[K, V], Generic[K, V]):
    """A loader whose statements are built for each batch and need SQLAlchemy's session."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        async with db.read_session(self._viewer) as session:
            return await self.load_all(session, keys)

    async def load_all(self, session: AsyncSession, keys: Sequence[K]) -> list[V]:
        """The values of these keys, in the order of the keys."""
        raise NotImplementedError


class ChildKey(NamedTuple):
    """A window of one parent's children."""

    parent_id: UUID
    window: Window


async def by_window(
    keys: Sequence[ChildKey],
    fetch: Callable[[Collection[UUID], Window], Awaitable[Mapping[UUID, V]]],
) -> list[V]:
    """The pages of these keys, with one fetch per distinct window; most documents have one."""
    parents: dict[Window, list[UUID]] = {}
    for key in keys:
        parents.setdefault(key.window, []).append(key.parent_id)
    found = {window: await fetch(ids, window) for window, ids in parents.items()}
    return [found[key.window][key.parent_id] for key in keys]
