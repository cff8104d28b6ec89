"""The published rule of who counts as a visitor, and what kind of device they look from.

An event does not count when its User-Agent (`rule_of`)

    is absent or empty                                    no_agent
    does not begin as those of all browsers do            not_a_browser  curl/8.5, node
    is in the list of the package `crawler-user-agents`   crawler  Googlebot, HeadlessChrome

or when its visitor is faster than a person can be (`too_fast`, see `pace.py`). The door writes the
rule into the envelope; the worker drops the event and counts it under that name. So who wonders
where events went can read it: nothing is left out silently.

    >>> rule_of("curl/8.5")
    <Rule.NOT_A_BROWSER: 'not_a_browser'>
"""

import re
from enum import StrEnum
from functools import lru_cache

from crawleruseragents import is_crawler

LONGEST_AGENT = 512
"""Characters looked at; a browser's has some 200. The list takes a microsecond for each of them."""

KNOWN_AGENTS = 4096
"""Agents whose answers are remembered: visitors share a few thousand, and a look costs 0.2 ms."""


class Rule(StrEnum):
    """Why an event is a machine's."""

    NO_AGENT = "no_agent"
    NOT_A_BROWSER = "not_a_browser"
    CRAWLER = "crawler"
    TOO_FAST = "too_fast"


class Device(StrEnum):
    """What a page is looked at with. An iPad that asks for desktop pages says it is a Mac."""

    DESKTOP = "desktop"
    MOBILE = "mobile"
    TABLET = "tablet"
    OTHER = "other"


_BROWSER = ("Mozilla/", "Opera/")

# The first that is found. "Mobi" is what browsers agreed on; an Android without it is a tablet,
# unless it is a television.
_DEVICES = (
    (Device.OTHER, re.compile(r"\bTV\b|SmartTV|SMART-TV|AppleTV|Web0S|Tizen.*TV|BRAVIA|AFT[A-Z]")),
    (Device.TABLET, re.compile(r"iPad|Tablet|PlayBook|Kindle|Silk/(?!.*Mobi)")),
    (Device.MOBILE, re.compile(r"Mobi|iPhone|iPod|Opera Mini")),
    (Device.TABLET, re.compile(r"Android")),
    (Device.DESKTOP, re.compile(r"Windows NT|Macintosh|X11|CrOS")),
)


def rule_of(user_agent: str) -> Rule | None:
    """The rule by which this User-Agent is a machine's; None for a browser's."""
    return _rule_of(user_agent[:LONGEST_AGENT].strip())


def device_of(user_agent: str) -> Device:
    """The kind of device a User-Agent speaks of."""
    return _device_of(user_agent[:LONGEST_AGENT])


@lru_cache(maxsize=KNOWN_AGENTS)
def _rule_of(agent: str) -> Rule | None:
    if not agent:
        return Rule.NO_AGENT
    if not agent.startswith(_BROWSER):
        return Rule.NOT_A_BROWSER
    return Rule.CRAWLER if is_crawler(agent) else None


@lru_cache(maxsize=KNOWN_AGENTS)
def _device_of(agent: str) -> Device:
    return next((device for device, words in _DEVICES if words.search(agent)), Device.OTHER)
