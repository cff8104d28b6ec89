"""Which User-Agents count as visitors: real-world examples."""

import time

import pytest

from subgraphs.analytics.ingest.bots import BotRule, Device, device_of, rule_of

_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPHONE = f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_WEBKIT}"
_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"

_ANDROID = "Mozilla/5.0 (Linux; Android 12;"

BROWSERS: dict[str, list[str]] = {
    "mobile": [
        f"{_IPHONE} Version/18.1 Mobile/15E148 Safari/604.1",
        f"{_IPHONE} Mobile/15E148 Instagram 340.0.0.0 (iPhone14,5; iOS 18_1)",
        f"{_IPHONE} Mobile/22B83 [FBAN/FBIOS;FBAV/490.0;FBDV/iPhone14,5]",
        f"{_IPHONE} Mobile/15E148 [Pinterest/iOS]",
        f"{_IPHONE} GSA/340.0 Mobile/15E148 Safari/604.1",
        f"{_ANDROID} K) {_BLINK} Chrome/142.0.0.0 Mobile Safari/537.36",
        # A phone whose name contains "bot".
        f"{_ANDROID} CUBOT X18) {_BLINK} Chrome/120.0 Mobile Safari/537.36",
        "Opera/9.80 (Android; Opera Mini/36.2/119.132; U; en) Presto/2.12.423 Version/12.16",
        "Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0",
    ],
    "tablet": [
        f"Mozilla/5.0 (iPad; CPU OS 15_0 like Mac OS X) {_WEBKIT} Version/15.0 Mobile/15E148",
        f"{_ANDROID} SM-T870) {_BLINK} Chrome/120.0 Safari/537.36",
        f"{_ANDROID} KFTRWI) {_BLINK} Silk/120.1 Chrome/120.0 Safari/537.36",
        "Mozilla/5.0 (Android 14; Tablet; rv:132.0) Gecko/132.0 Firefox/132.0",
    ],
    "desktop": [
        f"Mozilla/5.0 (X11; Linux x86_64) {_BLINK} Chrome/142.0.0.0 Safari/537.36",
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_BLINK} Chrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Version/17.1 Safari/605.1.15",
    ],
    "other": [
        f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) {_BLINK} 76.0.3809.146/6.0 TV Safari/537.36",
    ],
}

BOTS = [
    ("", BotRule.NO_AGENT),
    ("   ", BotRule.NO_AGENT),
    ("curl/8.5.0", BotRule.NOT_A_BROWSER),
    ("python-httpx/0.28.1", BotRule.NOT_A_BROWSER),
    ("node", BotRule.NOT_A_BROWSER),
    (f"Mozilla/5.0 (X11; Linux x86_64) {_BLINK} HeadlessChrome/142.0.0.0 Safari/537.36", "crawler"),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "crawler"),
    ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "crawler"),
    (f"Mozilla/5.0 {_BLINK}; compatible; GPTBot/1.2; +https://openai.com/gptbot", "crawler"),
]


@pytest.mark.parametrize(
    ("device", "agent"), [(device, agent) for device in BROWSERS for agent in BROWSERS[device]]
)
def test_a_browser_counts(device: str, agent: str) -> None:
    assert rule_of(agent) is None
    assert device_of(agent) == device


@pytest.mark.parametrize(("agent", "rule"), BOTS)
def test_a_bot_does_not_count_and_the_rule_says_why(agent: str, rule: str) -> None:
    assert rule_of(agent) == rule


def test_a_nonsense_agent_has_a_device() -> None:
    assert device_of("") == Device.OTHER
    assert device_of("\x00" * 100_000) == Device.OTHER


@pytest.mark.parametrize("nonsense", ["a", "-", "a ", "1.", "http", "aa/", "Silk/", "Tizen"])
def test_no_agent_takes_long_to_classify(nonsense: str) -> None:
    """A hostile agent costs milliseconds at most, although patterns of such lists may backtrack."""
    started = time.perf_counter()
    rule_of("Mozilla/5.0 " + nonsense * 10_000)
    device_of("Mozilla/5.0 " + nonsense * 10_000)
    assert time.perf_counter() - started < 0.05
