"""Who is asking: the viewer, and the signed header that carries it from the edge to a subgraph.

The edge authz signs (`ViewerSigner`), every subgraph verifies (`ViewerVerifier`) and trusts nothing
else. EdDSA: a subgraph that is broken into can read viewers, not make them.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import jwt
import msgspec

from subgraphs.kernel.errors import Unauthenticated

VIEWER_HEADER = "x-proofgraph-viewer"
VIEWER_LIFETIME = timedelta(seconds=60)
"""Long enough for one request with its fan-out, too short to be worth stealing."""

_AUDIENCE = "proofgraph-subgraphs"


class ViewerKind(StrEnum):
    NOBODY = "nobody"
    USER = "user"
    SITE = "site"


class Viewer(msgspec.Struct, frozen=True):
    """Who is asking, and the accounts whose rows they may see."""

    kind: ViewerKind
    id: UUID | None = None
    """The user or the site; None for nobody."""
    account_ids: tuple[UUID, ...] = ()
    read_only_ids: tuple[UUID, ...] = ()
    """Those of the accounts in which the user may look and not touch."""
    session_id: UUID | None = None
    """The session a user came with, so that it can be ended."""


NOBODY = Viewer(ViewerKind.NOBODY)


class ViewerSigner:
    """Makes the `x-proofgraph-viewer` header.

    Args:
        signing_key: Ed25519 private key, PEM in base64.
    """

    def __init__(self, signing_key: str) -> None:
        self._key = base64.b64decode(signing_key)

    def sign(self, viewer: Viewer) -> str:
        now = datetime.now(UTC)
        claims = {
            "viewer": msgspec.to_builtins(viewer),
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + VIEWER_LIFETIME,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


class ViewerVerifier:
    """Reads the `x-proofgraph-viewer` header.

    Args:
        verify_key: Ed25519 public key, PEM in base64.
    """

    def __init__(self, verify_key: str) -> None:
        self._key = base64.b64decode(verify_key)

    def verify(self, headers: Mapping[str, str]) -> Viewer:
        """The viewer of a request.

        Raises:
            Unauthenticated: the header is absent, expired or not signed by the edge.
        """
        token = headers.get(VIEWER_HEADER)
        if not token:
            raise Unauthenticated("This subgraph answers only requests that came through the edge.")
        try:
            claims = jwt.decode(token, self._key, algorithms=["EdDSA"], audience=_AUDIENCE)
            return msgspec.convert(claims["viewer"], Viewer)
        except (jwt.InvalidTokenError, msgspec.ValidationError, KeyError) as error:
            raise Unauthenticated("The viewer's signature is not valid.") from error
