"""The published rules that tell bots from visitors, and the device class of a User-Agent.

An event does not count when its User-Agent (`rule_of`)

    is absent or empty                                    no_agent
    does not begin like every browser's                   not_a_browser  curl/8.5, node
    is in the list of the package `crawler-user-agents`   crawler        Googlebot, HeadlessChrome

or when its visitor is faster than a person can be (`too_fast`, see `pipeline/drop_bots.py`). The
ingest endpoint writes the rule into the event's envelope. The stream worker drops the event and
counts it under the rule's name, so that a merchant can see which events were left out and why.

    >>> rule_of("curl/8.5")
    <BotRule.NOT_A_BROWSER: 'not_a_browser'>
"""

import re
from enum import StrEnum
from functools import lru_cache

from crawleruseragents import is_crawler

MAX_AGENT = 512
"""Characters that are examined; a browser sends some 200. The crawler list takes a microsecond for
each of them."""

CACHED_AGENTS = 4096
"""Agents with a cached result: visitors share a few thousand, and the rules take 0.2 ms."""


class BotRule(StrEnum):
    """Why an event is a bot's."""

    NO_AGENT = "no_agent"
    NOT_A_BROWSER = "not_a_browser"
    CRAWLER = "crawler"
    TOO_FAST = "too_fast"


class Device(StrEnum):
    """The class of a visitor's device. An iPad that asks for desktop pages identifies as a Mac."""

    DESKTOP = "desktop"
    MOBILE = "mobile"
    TABLET = "tablet"
    OTHER = "other"


_BROWSER = ("Mozilla/", "Opera/")

# The first match decides. Browsers agreed on "Mobi"; an Android without it is a tablet, unless it
# is a television.
_DEVICES = (
    (Device.OTHER, re.compile(r"\bTV\b|SmartTV|SMART-TV|AppleTV|Web0S|Tizen.*TV|BRAVIA|AFT[A-Z]")),
    (Device.TABLET, re.compile(r"iPad|Tablet|PlayBook|Kindle|Silk/(?!.*Mobi)")),
    (Device.MOBILE, re.compile(r"Mobi|iPhone|iPod|Opera Mini")),
    (Device.TABLET, re.compile(r"Android")),
    (Device.DESKTOP, re.compile(r"Windows NT|Macintosh|X11|CrOS")),
)


def rule_of(user_agent: str) -> BotRule | None:
    """The rule that makes this User-Agent a bot's; None for a browser's."""
    return _rule_of(user_agent[:MAX_AGENT].strip())


def device_of(user_agent: str) -> Device:
    """The device class that a User-Agent names."""
    return _device_of(user_agent[:MAX_AGENT])


@lru_cache(maxsize=CACHED_AGENTS)
def _rule_of(agent: str) -> BotRule | None:
    if not agent:
        return BotRule.NO_AGENT
    if not agent.startswith(_BROWSER):
        return BotRule.NOT_A_BROWSER
    return BotRule.CRAWLER if is_crawler(agent) else None


@lru_cache(maxsize=CACHED_AGENTS)
def _device_of(agent: str) -> Device:
    return next((device for device, pattern in _DEVICES if pattern.search(agent)), Device.OTHER)
