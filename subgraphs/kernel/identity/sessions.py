"""User sessions: a token that the users subgraph signs at log-in and the edge authz verifies."""

import base64
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import jwt

from subgraphs.kernel.config import settings
from subgraphs.kernel.errors import Unauthenticated

SESSION_LIFETIME = timedelta(hours=12)
"""A working day. Logging out ends a session earlier."""

_AUDIENCE = "proofgraph-session"
_ISSUER = "proofgraph"


class SessionClaims(NamedTuple):
    """The token claims of a session."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


class SessionSigner:
    """Signs session tokens.

    Args:
        signing_key: Ed25519 private key, PEM in base64.
    """

    def __init__(self, signing_key: str) -> None:
        self._key = base64.b64decode(signing_key)

    def sign(self, user_id: UUID, session_id: UUID) -> tuple[str, datetime]:
        """A new token and its expiry time."""
        now = datetime.now(UTC)
        expires_at = now + SESSION_LIFETIME
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(user_id),
            "jti": str(session_id),
            "iat": now,
            "exp": expires_at,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA"), expires_at


class SessionVerifier:
    """Verifies session tokens.

    Args:
        verify_key: Ed25519 public key, PEM in base64.
    """

    def __init__(self, verify_key: str) -> None:
        self._key = base64.b64decode(verify_key)

    def verify(self, token: str) -> SessionClaims:
        """The token claims of a valid token.

        Raises:
            Unauthenticated: the token is expired or was not signed by Proofgraph.
        """
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["EdDSA"],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={"require": ["exp", "sub", "jti"]},
            )
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            return SessionClaims(UUID(claims["sub"]), UUID(claims["jti"]), expires_at)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise Unauthenticated("The token is not valid or has expired; log in again.") from error


@lru_cache(maxsize=1)
def session_signer() -> SessionSigner:
    """The process's signer, from its settings."""
    return SessionSigner(settings().session_signing_key.get_secret_value())


@lru_cache(maxsize=1)
def session_verifier() -> SessionVerifier:
    """The process's verifier, from its settings."""
    return SessionVerifier(settings().session_verify_key)
