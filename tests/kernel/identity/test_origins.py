import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgraphs.kernel.identity.origins import origin_allowed

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
DOMAIN = st.lists(LABEL, min_size=2, max_size=4).map(".".join)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "https://example.com",
        "http://example.com",
        "https://www.example.com",
        "https://a.b.example.com",
        "HTTPS://Example.COM",
        "https://example.com:443",
        "http://example.com:80",
    ],
)
def test_the_site_and_its_subdomains_are_allowed(origin: str) -> None:
    assert origin_allowed(origin, "example.com")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://example.net",
        "https://notexample.com",
        "https://example.com.evil.net",
        "https://evil.net/example.com",
        "https://evil.net?example.com",
        "https://evil.net#.example.com",
        "https://example.com@evil.net",
        "https://evil.net\\.example.com",
        "https://example.com.",
        "https://.example.com",
        "https://com",
        "https://example.com:8443",
        "http://example.com:443",
        "https://example.com:port",
        "https://example.com:",
        "https://example.com/",
        "https://example.com https://evil.net",
        "//example.com",
        "example.com",
        "ftp://example.com",
        "javascript:example.com",
        "file:///example.com",
        "https://[::1",
        "https://exam\nple.com",
        "http://localhost",
        "http://127.0.0.1",
    ],
)
def test_other_origins_are_rejected(origin: str) -> None:
    assert not origin_allowed(origin, "example.com")


def test_a_domain_with_a_port_allows_only_that_port() -> None:
    assert origin_allowed("https://example.com:8443", "example.com:8443")
    assert origin_allowed("https://www.example.com:8443", "example.com:8443")
    assert not origin_allowed("https://example.com", "example.com:8443")
    assert not origin_allowed("https://example.com:8444", "example.com:8443")


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:8080",
        "http://127.0.0.1:3000",
        "http://[::1]:8080",
        "http://shop.localhost:8080",
    ],
)
def test_loopback_origins_are_allowed_only_by_the_setting(origin: str) -> None:
    assert origin_allowed(origin, "example.com", allow_loopback=True)
    assert not origin_allowed(origin, "example.com")


@pytest.mark.parametrize("origin", ["http://localhost.evil.net", "http://127.0.0.1.evil.net"])
def test_origins_that_resemble_loopback_are_rejected(origin: str) -> None:
    assert not origin_allowed(origin, "example.com", allow_loopback=True)


@given(DOMAIN, LABEL)
def test_every_site_allows_its_own_origin(domain: str, label: str) -> None:
    assert origin_allowed(f"https://{domain}", domain)
    assert origin_allowed(f"https://{label}.{domain}", domain)
    assert not origin_allowed(f"https://{label}{domain}", domain)
    assert not origin_allowed(f"https://{domain}.{label}", domain) or domain.endswith(label)


@given(st.text(), DOMAIN)
def test_no_origin_raises_an_error(origin: str, domain: str) -> None:
    allowed = origin_allowed(origin, domain)

    assert not allowed or not origin or origin.lower().partition("://")[2].startswith(domain)
