"""A queue that sites share: each site in turn, and a bounded space of which no site takes all."""

from collections import OrderedDict, deque
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from subgraphs.kernel.errors import Unavailable

T = TypeVar("T")


class Space:
    """The bytes that waiting requests may occupy.

    A site may take as many bytes as it leaves free. One flooding site therefore gets half of the
    space, two get a third each, and a further site always finds room. This is the dynamic threshold
    of Choudhury and Hahne (1998), which switches use for a buffer that their ports share.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._taken: dict[UUID, int] = {}

    def take(self, site_id: UUID, size: int) -> None:
        """Occupy bytes for a site.

        Raises:
            Unavailable: the site has taken its share.
        """
        taken = self._taken.get(site_id, 0) + size
        if taken > self._free - size:
            raise Unavailable(
                "This site sends webhooks faster than they can be stored; send it again."
            )
        self._free -= size
        self._taken[site_id] = taken

    def give_back(self, site_id: UUID, size: int) -> None:
        """Free bytes that a site has taken; 0 if it was refused at once."""
        self._free += size
        left = self._taken.pop(site_id, 0) - size
        if left:
            self._taken[site_id] = left


class _Item(NamedTuple, Generic[T]):
    value: T
    size: int


class FairQueue(Generic[T]):
    """Items by site, first in, first out; the sites take turns."""

    def __init__(self) -> None:
        self._sites: OrderedDict[UUID, deque[_Item[T]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._sites)

    def put(self, site_id: UUID, value: T, size: int) -> None:
        """Append an item to its site's."""
        self._sites.setdefault(site_id, deque()).append(_Item(value, size))

    def take(self, most: int, most_bytes: int) -> list[T]:
        """Remove and return the next items: at most `most`, and the last reaches `most_bytes`."""
        taken: list[T] = []
        size = 0
        while self._sites and len(taken) < most and size < most_bytes:
            site_id, items = self._sites.popitem(last=False)
            item = items.popleft()
            taken.append(item.value)
            size += item.size
            if items:
                self._sites[site_id] = items
        return taken
