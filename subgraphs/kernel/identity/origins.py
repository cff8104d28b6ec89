"""Which web pages may use a site's public key: the browser's `Origin` against the site's domain."""

import re

_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"

# An origin as browsers write it. What only nearly reads as one is not guessed at.
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(\.{_LABEL})*|\[[0-9a-f:]+\])(:(?P<port>[0-9]{{1,5}}))?"
)

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def origin_allowed(origin: str, domain: str, *, allow_loopback: bool = False) -> bool:
    """Whether a page of this origin may act for the site of this domain, or `domain:port`.

    A caller without an origin is no web page, and could have written any: it is let in. The rule
    keeps one shop's key off another shop's pages; it is no proof of who is calling.

    >>> origin_allowed("https://shop.example.com", "example.com")
    True
    >>> origin_allowed("https://example.com.evil.net", "example.com")
    False
    """
    if not origin:
        return True
    parts = _ORIGIN.fullmatch(origin.lower())
    if parts is None:
        return False
    host, port = parts["host"], parts["port"]
    if allow_loopback and (host in _LOOPBACK or host.endswith(".localhost")):
        return True
    if port == _DEFAULT_PORTS[parts["scheme"]]:
        port = None
    site_host, _, site_port = domain.lower().partition(":")
    return port == (site_port or None) and (host == site_host or host.endswith(f".{site_host}"))
