"""The open feeds, one for each distinct operation and principal scope."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from router.subscriptions import subgraph_client
from router.subscriptions.authentication import Principal, PrincipalScope
from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import ParsedSubscription, RequestRejected
from router.subscriptions.entity_fetch import EntityFetcher
from router.subscriptions.feed import Feed
from router.subscriptions.redis_clock import RedisClock
from router.subscriptions.router_client import RouterClient
from router.subscriptions.subgraph_client import Result, SubgraphRequest
from subgraphs.kernel import redis
from subgraphs.kernel.config import settings

MAX_FEEDS = 50
"""Distinct operations of one scope. A site's pages send one, a dashboard's tabs a few."""

LINGER_SECONDS = 30.0
"""How long a feed stays open without subscribers, so that a reloaded page resumes from it."""

_CLOCK_LAG_MS = int(redis.ANSWER_SECONDS * 1000)
"""How far our reading of the Redis time may lag. A cursor further ahead does not exist yet."""

_Key = tuple[PrincipalScope, bytes]


class SharedFeed:
    """A feed and the principals of its subscribers."""

    def __init__(
        self,
        registry: "FeedRegistry",
        key: _Key,
        request: SubgraphRequest,
        entities: EntityFetcher | None,
        start: Cursor,
    ) -> None:
        self._registry = registry
        self._request = request
        self._complete = None if entities is None else partial(entities.complete, self.sign)
        self.key = key
        self.feed = self._open(start)
        self.principals: Counter[Principal] = Counter()

    def join(self, principal: Principal, start: Cursor) -> None:
        """Counts a subscriber of this principal; opens the feed again if it has failed."""
        if self.feed.failed:
            self.feed = self._open(start)
        self.principals[principal] += 1

    def leave(self, principal: Principal) -> None:
        """A subscriber has ended; the feed closes some time after its last one."""
        self.principals[principal] -= 1
        if not self.principals[principal]:
            del self.principals[principal]
        if not self.principals:
            self._registry.close_later(self)

    async def sign(self) -> str:
        """Returns a signed viewer of any subscriber: one ended session must not end the feed."""
        rejection = RequestRejected.with_code(
            "The subscription has no subscribers left.", "UNAUTHENTICATED"
        )
        for principal in tuple(self.principals):
            try:
                return await principal.sign()
            except RequestRejected as rejected:
                rejection = rejected
        raise rejection

    def _open(self, start: Cursor) -> Feed:
        def subscribe(cursor: Cursor) -> AsyncIterator[Result]:
            return subgraph_client.subscribe(self._request, self.sign, cursor, self._complete)

        return Feed(subscribe, start)


class Joined(NamedTuple):
    """A subscriber's place in a feed."""

    shared: SharedFeed
    after: Cursor
    is_resuming: bool


class FeedRegistry:
    """Opens feeds, shares them between subscribers, and closes them."""

    def __init__(self, router: RouterClient) -> None:
        self._router = router
        self._feeds: dict[_Key, SharedFeed] = {}
        self._clock = RedisClock()

    @property
    def subscriber_count(self) -> int:
        """Subscribers of all feeds."""
        return sum(shared.principals.total() for shared in self._feeds.values())

    async def join(
        self, principal: Principal, subscription: ParsedSubscription, variables: Mapping[str, Any]
    ) -> Joined:
        """Returns the feed of a subscription and the client's start; counts the subscriber.

        Raises:
            RequestRejected: `after` is not a cursor.
        """
        after = subscription.start_cursor(variables)
        request = _subgraph_request(subscription, variables)
        # One scope sees the same results: all visitors of a shop, or all tabs of one user.
        key = (principal.scope, msgspec.json.encode(request))
        now = await self._clock.now()
        # A start in the future would withhold from all subscribers what comes until then.
        start = min(after or now, now)
        shared = self._feeds.get(key)
        if shared is None:
            self._make_room(principal.scope)
            entities = subscription.entities and EntityFetcher(
                self._router, subscription.entities, variables
            )
            shared = self._feeds[key] = SharedFeed(self, key, request, entities, start)
        shared.join(principal, start)
        # A cursor in the future has missed nothing: its subscriber starts now.
        resuming = after is not None and after[0] <= now[0] + _CLOCK_LAG_MS
        return Joined(shared, after or now, resuming)

    def close(self) -> None:
        """Closes every feed's subscription at its subgraph."""
        for shared in self._feeds.values():
            shared.feed.close()

    def close_later(self, shared: SharedFeed) -> None:
        """Closes a feed after `LINGER_SECONDS` unless it has a subscriber again."""
        loop = asyncio.get_running_loop()
        loop.call_later(LINGER_SECONDS, self._close_if_unused, shared)

    def _make_room(self, scope: PrincipalScope) -> None:
        """Ends a full scope's feed with the fewest subscribers; of several, the newest.

        All visitors of a shop share one scope. If the newest client were rejected instead, one
        visitor could lock out all others.
        """
        keys = [key for key in self._feeds if key[0] == scope]
        if len(keys) < MAX_FEEDS:
            return
        least_used = min(reversed(keys), key=lambda key: self._feeds[key].principals.total())
        message = (
            f"More than {MAX_FEEDS} different subscriptions are open at once, so this one is ended;"
            " close some and subscribe again."
        )
        self._feeds.pop(least_used).feed.end(RequestRejected.with_code(message, "RATE_LIMITED"))

    def _close_if_unused(self, shared: SharedFeed) -> None:
        if shared.principals:
            return
        shared.feed.close()
        if self._feeds.get(shared.key) is shared:
            del self._feeds[shared.key]


def _subgraph_request(
    subscription: ParsedSubscription, variables: Mapping[str, Any]
) -> SubgraphRequest:
    names = {
        *subscription.variables,
        *(entities.variables if (entities := subscription.entities) else ()),
    }
    return SubgraphRequest(
        url=settings().subgraph_url(subscription.subgraph),
        query=subscription.query,
        response_key=subscription.response_key,
        variables={name: variables[name] for name in names if name in variables},
        entities=subscription.entities.text if subscription.entities else "",
    )
