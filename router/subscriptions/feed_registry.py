"""The open feeds, one for each distinct operation and principal scope."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from router.subscriptions import subgraph_client
from router.subscriptions.authentication import Principal, PrincipalScope
from router.subscriptions.documents import ParsedSubscription, RequestRejected
from router.subscriptions.feed import Feed
from router.subscriptions.redis_clock import RedisClock
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


class FeedRegistry:
    """Opens feeds, shares them between subscribers, and closes them."""

    def __init__(self) -> None:
        self._feeds: dict[_Key, Feed] = {}
        self._subscribers: dict[_Key, list[Principal]] = {}
        self._clock = RedisClock()

    @property
    def subscriber_count(self) -> int:
        """Subscribers of all feeds."""
        return sum(map(len, self._subscribers.values()))

    @asynccontextmanager
    async def subscribe(
        self, principal: Principal, subscription: ParsedSubscription, variables: Mapping[str, Any]
    ) -> AsyncIterator[AsyncIterator[list[Result]]]:
        """Gives batches of a subscription's results, from the client's start cursor on."""
        after = subscription.start_cursor(variables)
        request = _subgraph_request(subscription, variables)
        # One scope sees the same results: all visitors of a shop, or all tabs of one user.
        key = (principal.scope, msgspec.json.encode(request))
        now = await self._clock.now()
        feed = self._feeds.get(key)
        if feed is None or feed.failed:
            self._make_room(principal.scope)
            # A start in the future would withhold from all subscribers what comes until then.
            start = min(after or now, now)
            sign = partial(self._sign, key)
            feed = Feed(lambda cursor: subgraph_client.subscribe(request, sign, cursor), start)
            self._feeds[key] = feed
        self._subscribers.setdefault(key, []).append(principal)
        try:
            # A cursor in the future has missed nothing: its subscriber starts now.
            resuming = after is not None and after[0] <= now[0] + _CLOCK_LAG_MS
            yield feed.subscribe(after or now, resuming=resuming)
        finally:
            self._subscribers[key].remove(principal)
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._close_if_unused, key, feed)

    def close(self) -> None:
        """Closes every feed's subscription at its subgraph."""
        for feed in self._feeds.values():
            feed.close()

    def _make_room(self, scope: PrincipalScope) -> None:
        """Ends a full scope's feed with the fewest subscribers; of several, the newest.

        All visitors of a shop share one scope. If the newest client were rejected instead, one
        visitor could lock out all others.
        """
        keys = [key for key in self._feeds if key[0] == scope]
        if len(keys) < MAX_FEEDS:
            return
        least_used = min(reversed(keys), key=lambda key: len(self._subscribers.get(key, ())))
        message = (
            f"More than {MAX_FEEDS} different subscriptions are open at once, so this one is ended;"
            " close some and subscribe again."
        )
        self._feeds.pop(least_used).end(RequestRejected.with_code(message, "RATE_LIMITED"))

    async def _sign(self, key: _Key) -> str:
        """Returns a signed viewer of any subscriber: one ended session must not end the feed."""
        rejection = RequestRejected.with_code(
            "The subscription has no subscribers left.", "UNAUTHENTICATED"
        )
        for principal in list(self._subscribers.get(key, ())):
            try:
                return await principal.sign()
            except RequestRejected as rejected:
                rejection = rejected
        raise rejection

    def _close_if_unused(self, key: _Key, feed: Feed) -> None:
        if self._subscribers.get(key):
            return
        if self._feeds.get(key) is feed:
            feed.close()
            del self._feeds[key]
        if key not in self._feeds:
            self._subscribers.pop(key, None)


def _subgraph_request(
    subscription: ParsedSubscription, variables: Mapping[str, Any]
) -> SubgraphRequest:
    return SubgraphRequest(
        url=settings().subgraph_url(subscription.subgraph),
        query=subscription.query,
        response_key=subscription.response_key,
        variables={name: variables[name] for name in subscription.variables if name in variables},
    )
