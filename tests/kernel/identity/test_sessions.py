from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from subgraphs.kernel.errors import Unauthenticated
from subgraphs.kernel.identity.sessions import SessionClaims, SessionSigner, SessionVerifier
from subgraphs.kernel.identity.viewer import NOBODY, ViewerSigner, ViewerVerifier
from tests.fixtures.keys import PRIVATE, PUBLIC

USER, SESSION = UUID(int=1), UUID(int=2)


def test_a_signed_session_is_verified() -> None:
    token, expires_at = SessionSigner(PRIVATE).sign(USER, SESSION)

    assert SessionVerifier(PUBLIC).verify(token) == SessionClaims(
        USER, SESSION, expires_at.replace(microsecond=0)
    )
    left = expires_at - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)


def test_session_and_viewer_tokens_are_not_interchangeable() -> None:
    token, _ = SessionSigner(PRIVATE).sign(USER, SESSION)

    with pytest.raises(Unauthenticated):
        ViewerVerifier(PUBLIC).verify({"x-proofgraph-viewer": token})
    with pytest.raises(Unauthenticated):
        SessionVerifier(PUBLIC).verify(ViewerSigner(PRIVATE).sign(NOBODY))
