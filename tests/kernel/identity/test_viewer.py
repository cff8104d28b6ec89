import base64
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from subgraphs.kernel.errors import Unauthenticated
from subgraphs.kernel.identity.viewer import (
    NOBODY,
    VIEWER_HEADER,
    Viewer,
    ViewerKind,
    ViewerSigner,
    ViewerVerifier,
)


def key_pair() -> tuple[str, str]:
    """(private, public), each PEM in base64."""
    private = Ed25519PrivateKey.generate()
    return (
        base64.b64encode(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        ).decode(),
        base64.b64encode(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ).decode(),
    )


PRIVATE, PUBLIC = key_pair()
OTHERS_PRIVATE, _ = key_pair()
ANNA = Viewer(ViewerKind.USER, UUID(int=1), (UUID(int=2), UUID(int=3)), (UUID(int=3),), UUID(int=4))


@pytest.mark.parametrize("viewer", [NOBODY, ANNA, Viewer(ViewerKind.SITE, UUID(int=5))])
def test_a_signed_viewer_is_verified_with_all_fields(viewer: Viewer) -> None:
    token = ViewerSigner(PRIVATE).sign(viewer)

    assert ViewerVerifier(PUBLIC).verify({VIEWER_HEADER: token}) == viewer


def test_a_signature_lasts_sixty_seconds() -> None:
    claims = jwt.decode(ViewerSigner(PRIVATE).sign(ANNA), options={"verify_signature": False})

    assert claims["exp"] - claims["iat"] == 60


def forged() -> list[dict[str, str]]:
    key = base64.b64decode(PRIVATE)
    claims = {"viewer": {"kind": "user"}, "aud": "proofgraph-subgraphs"}
    return [
        {},
        {VIEWER_HEADER: ""},
        {VIEWER_HEADER: "not a token"},
        {VIEWER_HEADER: ViewerSigner(OTHERS_PRIVATE).sign(ANNA)},
        {VIEWER_HEADER: jwt.encode(claims, "", algorithm="none")},
        {VIEWER_HEADER: jwt.encode({**claims, "aud": "elsewhere"}, key, algorithm="EdDSA")},
        {VIEWER_HEADER: jwt.encode({**claims, "exp": 1}, key, algorithm="EdDSA")},
        {VIEWER_HEADER: jwt.encode({"aud": claims["aud"]}, key, algorithm="EdDSA")},
        {VIEWER_HEADER: jwt.encode({**claims, "viewer": {"kind": "root"}}, key, algorithm="EdDSA")},
    ]


@pytest.mark.parametrize("headers", forged())
def test_invalid_tokens_are_rejected(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        ViewerVerifier(PUBLIC).verify(headers)


def test_a_verified_token_is_remembered_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = ViewerVerifier(PUBLIC)
    token = ViewerSigner(PRIVATE).sign(ANNA)
    expires_at = jwt.decode(token, options={"verify_signature": False})["exp"]

    first = verifier.verify_token(token)
    monkeypatch.setattr(jwt, "decode", None)  # a second verification would fail
    assert verifier.verify_token(token) is first

    monkeypatch.undo()
    monkeypatch.setattr("subgraphs.kernel.identity.viewer.time.time", lambda: float(expires_at))
    monkeypatch.setattr(jwt, "decode", _refuse)
    with pytest.raises(Unauthenticated):
        verifier.verify_token(token)


def _refuse(*_: object, **__: object) -> None:
    raise jwt.ExpiredSignatureError


@pytest.mark.parametrize("headers", [it for it in forged() if it.get(VIEWER_HEADER)])
def test_a_forged_token_is_never_remembered(headers: dict[str, str]) -> None:
    verifier = ViewerVerifier(PUBLIC)
    verifier.verify_token(ViewerSigner(PRIVATE).sign(ANNA))

    for _ in range(3):
        with pytest.raises(Unauthenticated):
            verifier.verify(headers)


def test_a_token_with_a_changed_signature_is_another_token() -> None:
    verifier = ViewerVerifier(PUBLIC)
    token = ViewerSigner(PRIVATE).sign(ANNA)
    verifier.verify_token(token)
    head, _, signature = token.rpartition(".")

    with pytest.raises(Unauthenticated):
        verifier.verify_token(f"{head}.{signature[::-1]}")
