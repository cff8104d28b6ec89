"""Which web pages may use a site's public key: the browser's `Origin` against the site's domain."""

from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def origin_allowed(origin: str, domain: str, *, allow_loopback: bool = False) -> bool:
    """Whether a page of this origin may act for the site of this domain or `domain:port`.

    A caller without an origin is no web page, and could have written any: it is let in. The rule
    keeps one shop's key off another shop's pages, it is no proof of who is calling.

    >>> origin_allowed("https://shop.example.com", "example.com")
    True
    >>> origin_allowed("https://example.com.evil.net", "example.com")
    False
    """
    if not origin:
        return True
    parts = _split(origin)
    if parts is None:
        return False
    host = parts.hostname or ""
    if allow_loopback and (host in _LOOPBACK or host.endswith(".localhost")):
        return True
    site_host, _, site_port = domain.lower().partition(":")
    same_port = _port(parts) == (int(site_port) if site_port else None)
    return same_port and (host == site_host or host.endswith(f".{site_host}"))


def _split(origin: str) -> SplitResult | None:
    """An origin as browsers write it, scheme and host and maybe a port; None for all else."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None
    # A path, a user or stray characters never stand in an origin: what only nearly reads as one
    # is not guessed at.
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    written = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return parts if written == origin.lower() else None


def _port(parts: SplitResult) -> int | None:
    """The port, None where it is the scheme's own."""
    return None if parts.port == _DEFAULT_PORTS[parts.scheme] else parts.port
