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
