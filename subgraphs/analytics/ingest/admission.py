"""Who may send: the site key, the page's origin, and how much a site sends."""

import asyncio
from functools import lru_cache

from subgraphs.analytics.ingest.backlog import Backlog
from subgraphs.analytics.ingest.responses import Refusal
from subgraphs.analytics.ingest.token_buckets import Bucket, Buckets, Excess
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.credentials import SiteAccess, SiteKeys
from subgraphs.kernel.identity.origins import origin_allowed
from subgraphs.kernel.redis.invalidation import Change

MAX_LOOK_UPS = 200
"""New keys looked up in PostgreSQL at a time; who invents keys beyond that is asked to wait. Those
that were good a moment ago are not many, and are looked up besides."""

FULL_SECONDS = 2
"""How long whoever fills the stream is asked to wait; the backlog is judged every second."""

LONGEST_ORIGIN = 300
"""Bytes; with the longest name there is and a port a page has 267. Answers are kept by it."""

_MOST_GUESTS = 50_000


class Guest:
    """A site at the door."""

    __slots__ = ("access", "bucket", "key")

    def __init__(self, access: SiteAccess, bucket: Bucket) -> None:
        self.access = access
        self.bucket = bucket
        self.key = str(access.site_id)


class Admission:
    """Lets requests in or raises the refusal."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._site_keys = SiteKeys()
        self._buckets = Buckets()
        self._guests: dict[str, Guest] = {}
        self._look_ups: dict[str, asyncio.Task[SiteAccess | None]] = {}
        self._new_keys: set[str] = set()
        """Those being looked up that were not good before."""
        self._allow_loopback = settings().allow_loopback_origins

    def invalidate(self, change: Change | None) -> None:
        """Look a site up anew whose key or limits have changed; nobody joins an older look-up."""
        self._site_keys.invalidate(change)
        self._look_ups.clear()

    def known(self, site_key: str) -> Guest | None:
        """The site of this key if that is known without a look-up.

        Raises:
            Refusal: it is known to be nobody's.
        """
        found = self._site_keys.peek(site_key)
        return self._guest(site_key, found.access) if found else None

    async def find(self, site_key: str) -> Guest:
        """The site of this key; those who ask for the same one share the look-up.

        Raises:
            Refusal: it is nobody's, or too many keys are being looked up.
        """
        look_up = self._look_ups.get(site_key) or self._look_up(site_key)
        return self._guest(site_key, await look_up)

    def admit(self, guest: Guest, origin: bytes | None, events: int, now: float) -> None:
        """Let this many events of a page of this origin in, and count them; none count as one.

        Args:
            now: seconds of the loop's clock.
        Raises:
            Refusal: the page is another's, or there are too many.
        """
        if origin is not None and not self._is_of(guest, origin):
            raise Refusal(403, "FORBIDDEN", "This site key belongs to another origin.")
        events = max(events, 1)
        excess = guest.bucket.take(events, now)
        if excess is not None:
            raise _too_many(guest, excess)
        if self._backlog.refuses(guest.key, events):
            guest.bucket.give_back(events)
            raise _stream_full(guest)

    def _is_of(self, guest: Guest, origin: bytes) -> bool:
        if len(origin) > LONGEST_ORIGIN:
            return False
        return _allowed(origin, guest.access.domain, self._allow_loopback)

    def _look_up(self, site_key: str) -> asyncio.Task[SiteAccess | None]:
        if not self._site_keys.was_good(site_key):
            if len(self._new_keys) >= MAX_LOOK_UPS:
                message = "Too many site keys are being looked up; send the same events again."
                raise Refusal(503, "UNAVAILABLE", message, {"retry-after": str(FULL_SECONDS)})
            self._new_keys.add(site_key)
        look_up = asyncio.create_task(self._site_keys.find(site_key))
        self._look_ups[site_key] = look_up
        look_up.add_done_callback(lambda _: self._has_ended(site_key, look_up))
        return look_up

    def _has_ended(self, site_key: str, look_up: asyncio.Task[SiteAccess | None]) -> None:
        self._new_keys.discard(site_key)
        if self._look_ups.get(site_key) is look_up:
            del self._look_ups[site_key]

    def _guest(self, site_key: str, access: SiteAccess | None) -> Guest:
        if access is None:
            raise Refusal(401, "UNAUTHENTICATED", "This site key is not known.")
        guest = self._guests.get(site_key)
        if guest is None or guest.access is not access:
            if len(self._guests) >= _MOST_GUESTS:
                self._guests.clear()
            now = asyncio.get_running_loop().time()
            bucket = self._buckets.of(access.site_id, access.events_per_second, now)
            guest = self._guests[site_key] = Guest(access, bucket)
        return guest


@lru_cache(maxsize=10_000)
def _allowed(origin: bytes, domain: str, allow_loopback: bool) -> bool:
    return origin_allowed(origin.decode("latin-1"), domain, allow_loopback=allow_loopback)


def _too_many(guest: Guest, excess: Excess) -> Refusal:
    message = f"This site may send {excess.limit} events a second; nothing was taken."
    return _too_much(guest, message, _wait(excess.limit, excess.remaining, excess.wait))


def _stream_full(guest: Guest) -> Refusal:
    message = "This site sends more than is being worked off; nothing was taken."
    return _too_much(guest, message, _wait(guest.access.events_per_second, 0, FULL_SECONDS))


def _too_much(guest: Guest, message: str, wait: dict[str, str]) -> Refusal:
    return Refusal(429, "RATE_LIMITED", message, wait, too_much_of=guest.key)


def _wait(limit: int, remaining: int, seconds: int) -> dict[str, str]:
    return {
        "retry-after": str(seconds),
        "ratelimit-limit": str(limit),
        "ratelimit-remaining": str(remaining),
        "ratelimit-reset": str(seconds),
    }
