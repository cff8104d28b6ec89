"""The feeds there are, one for each distinct operation, and who keeps them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from router.subscriptions import upstream
from router.subscriptions.authentication import Caller, Scope
from router.subscriptions.channel_clock import ChannelClock
from router.subscriptions.documents import Refused, Subscription
from router.subscriptions.feed import Feed
from router.subscriptions.upstream import Answer, Asked
from subgraphs.kernel import redis
from subgraphs.kernel.config import settings

MAX_FEEDS = 50
"""Distinct operations of one scope. A site's pages ask one, a dashboard's tabs a few."""

LINGER_SECONDS = 30.0
"""A feed outlives its last follower, so that one who reloads a page finds what came meanwhile."""

_BEHIND_MS = int(redis.ANSWER_SECONDS * 1000)
"""Our reading of the channel's clock is behind by what the answer took. A cursor further ahead has
not been made yet."""

_Key = tuple[Scope, bytes]


class Hub:
    """Shares what is asked of the subgraphs among all who ask the same."""

    def __init__(self) -> None:
        self._feeds: dict[_Key, Feed] = {}
        self._callers: dict[_Key, list[Caller]] = {}
        self._clock = ChannelClock()

    @asynccontextmanager
    async def answers(
        self, caller: Caller, subscription: Subscription, variables: Mapping[str, Any]
    ) -> AsyncIterator[AsyncIterator[list[Answer]]]:
        """The answers to a subscription, from where the caller wants to begin."""
        after = subscription.begin(variables)
        asked = _asked(subscription, variables)
        # Who may see the same is given the same: a shop's visitors are one, a user's tabs are one.
        key = (caller.scope, msgspec.json.encode(asked))
        now = await self._clock.now()
        feed = self._feeds.get(key)
        if feed is None or feed.failed:
            self._make_room(caller.scope)
            # Never from the future: it would keep from all who share it what comes until then.
            start = min(after or now, now)
            feed = Feed(lambda at: upstream.answers(asked, partial(self._sign, key), at), start)
            self._feeds[key] = feed
        self._callers.setdefault(key, []).append(caller)
        try:
            # From the future nothing is missed: it waits with the others until its time has come.
            resuming = after is not None and after[0] <= now[0] + _BEHIND_MS
            yield feed.follow(after or now, resuming=resuming)
        finally:
            self._callers[key].remove(caller)
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._let_go, key, feed)

    def close(self) -> None:
        for feed in self._feeds.values():
            feed.close()

    def _make_room(self, scope: Scope) -> None:
        """End the least followed feed of a scope that is full, of several the newest.

        A shop's scope is all of its visitors: refusing the newcomer instead would let one of them
        shut out the others.
        """
        keys = [key for key in self._feeds if key[0] == scope]
        if len(keys) < MAX_FEEDS:
            return
        least = min(reversed(keys), key=lambda key: len(self._callers.get(key, ())))
        message = f"More than {MAX_FEEDS} different subscriptions at once; this one had to end."
        self._feeds.pop(least).end(Refused.because(message, "RATE_LIMITED"))

    async def _sign(self, key: _Key) -> str:
        """A fresh signature of any of those who follow: one session that ends is not all."""
        refusal = Refused.because("Nobody asks for this any more.", "UNAUTHENTICATED")
        for caller in list(self._callers.get(key, ())):
            try:
                return await caller.sign()
            except Refused as refused:
                refusal = refused
        raise refusal

    def _let_go(self, key: _Key, feed: Feed) -> None:
        if self._callers.get(key):
            return
        if self._feeds.get(key) is feed:
            feed.close()
            del self._feeds[key]
        if key not in self._feeds:
            self._callers.pop(key, None)


def _asked(subscription: Subscription, variables: Mapping[str, Any]) -> Asked:
    return Asked(
        url=settings().subgraph_url(subscription.owner),
        query=subscription.query,
        response_key=subscription.response_key,
        variables={name: variables[name] for name in subscription.variables if name in variables},
    )
