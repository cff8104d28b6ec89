"""The viewer of a request, and the signed header that carries it from the edge to the subgraphs.

The edge authz signs the header (`ViewerSigner`). Every subgraph verifies it (`ViewerVerifier`) and
trusts nothing else. EdDSA is asymmetric: a compromised subgraph can read viewers but not sign them.
"""

import base64
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

import jwt
import msgspec
from cachetools import LRUCache

from subgraphs.kernel.errors import Unauthenticated

VIEWER_HEADER = "x-proofgraph-viewer"
VIEWER_LIFETIME = timedelta(seconds=60)
"""Long enough for one request and its subrequests, too short for a stolen header to be useful."""

_AUDIENCE = "proofgraph-subgraphs"

_CACHED_TOKENS = 10_000
"""Verified tokens that a process remembers; each takes some 1.5 KB."""


class ViewerKind(StrEnum):
    NOBODY = "nobody"
    USER = "user"
    SITE = "site"


class Viewer(msgspec.Struct, frozen=True):
    """The principal of a request, and the accounts whose rows it may see."""

    kind: ViewerKind
    id: UUID | None = None
    """The user's or the site's id; None for NOBODY."""
    account_ids: tuple[UUID, ...] = ()
    read_only_ids: tuple[UUID, ...] = ()
    """The accounts in which the user's role is read-only."""
    session_id: UUID | None = None
    """The user's session, which logging out ends."""


NOBODY = Viewer(ViewerKind.NOBODY)


class ViewerSigner:
    """Signs the `x-proofgraph-viewer` header.

    Args:
        signing_key: Ed25519 private key, PEM in base64.
    """

    def __init__(self, signing_key: str) -> None:
        self._key = base64.b64decode(signing_key)

    def sign(self, viewer: Viewer) -> str:
        """The header's value, a JWT that expires after `VIEWER_LIFETIME`."""
        now = datetime.now(UTC)
        claims = {
            "viewer": msgspec.to_builtins(viewer),
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + VIEWER_LIFETIME,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")


class ViewerVerifier:
    """Verifies the `x-proofgraph-viewer` header.

    The edge authz reuses a token, so most requests repeat one. A verified token is remembered until
    it expires: the signature takes 120 µs, the look-up one. Only tokens whose signature is valid
    enter the cache, and the whole token is the key, so a forged token is never in it.

    Args:
        verify_key: Ed25519 public key, PEM in base64.
    """

    def __init__(self, verify_key: str) -> None:
        self._key = base64.b64decode(verify_key)
        self._verified: LRUCache[str, tuple[float, Viewer]] = LRUCache(_CACHED_TOKENS)
        """When each token expires, in seconds since 1970, and its viewer."""

    def verify(self, headers: Mapping[str, str]) -> Viewer:
        """The viewer of a request.

        Raises:
            Unauthenticated: the header is absent, expired or not signed by the edge authz.
        """
        return self.verify_token(headers.get(VIEWER_HEADER, ""))

    def verify_token(self, token: str) -> Viewer:
        """The viewer of a header's value.

        Raises:
            Unauthenticated: the value is empty, expired or not signed by the edge authz.
        """
        if not token:
            raise Unauthenticated(
                "A subgraph accepts only requests that come through the public port."
            )
        expires_at, viewer = self._verified.get(token, (0.0, NOBODY))
        if time.time() < expires_at:
            return viewer
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["EdDSA"],
                audience=_AUDIENCE,
                options={"require": ["exp"]},
            )
            viewer = msgspec.convert(claims["viewer"], Viewer)
            self._verified[token] = (float(claims["exp"]), viewer)
        except (jwt.InvalidTokenError, msgspec.ValidationError, KeyError) as error:
            self._verified.pop(token, None)
            raise Unauthenticated("The viewer header is not valid.") from error
        return viewer
