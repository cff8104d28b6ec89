import base64
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidTag

from subgraphs.integrations import sealing
from subgraphs.kernel.config import settings


@pytest.fixture(autouse=True)
def secrets_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SECRETS_KEY", base64.b64encode(bytes(32)).decode())
        settings.cache_clear()
        yield
    settings.cache_clear()


def test_a_sealed_secret_opens_in_its_own_context_only() -> None:
    sealed = sealing.seal("whsec", context="row 1")

    assert b"whsec" not in sealed
    assert sealing.unseal(sealed, context="row 1") == "whsec"
    with pytest.raises(InvalidTag):
        sealing.unseal(sealed, context="row 2")


def test_sealing_twice_gives_two_values() -> None:
    assert sealing.seal("whsec", context="row") != sealing.seal("whsec", context="row")


def test_an_altered_value_does_not_open() -> None:
    sealed = bytearray(sealing.seal("whsec", context="row"))
    sealed[-1] ^= 1

    with pytest.raises(InvalidTag):
        sealing.unseal(bytes(sealed), context="row")
