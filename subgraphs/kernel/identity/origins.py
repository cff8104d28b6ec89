"""Checks whether a web page may use a site key: its `Origin` against the site's domain."""

import re

_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"

# An origin exactly as browsers send it; anything else is rejected.
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(\.{_LABEL})*|\[[0-9a-f:]+\])(:(?P<port>[0-9]{{1,5}}))?"
)

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def origin_allowed(origin: str, domain: str, *, allow_loopback: bool = False) -> bool:
    """Whether a page of this origin may use the key of the site at `domain` or `domain:port`.

    A request without an origin comes from no web page and could claim any origin, so it passes.
    The rule keeps a shop's key off other shops' pages; it authenticates nobody.

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
