"""The edge authz's process, configured by the kernel's settings.

    uvicorn router.authz.app:app --http router.authz.app:Protocol

Without `--http` it serves the same, at ten times the price.
"""

from router.authz.authenticator import Authenticator
from router.authz.protocol import CheckProtocol
from router.authz.service import CheckEndpoint, create_app
from router.authz.signed_viewers import SignedViewers
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.sessions import session_verifier
from subgraphs.kernel.identity.viewer import ViewerSigner

_authenticator = Authenticator(session_verifier(), allow_loopback=settings().allow_loopback_origins)
_signed_viewers = SignedViewers(ViewerSigner(settings().viewer_signing_key.get_secret_value()))

_check = CheckEndpoint(_authenticator, _signed_viewers)

app = create_app(_check, invalidate=_authenticator.invalidate)


class Protocol(CheckProtocol):
    """The protocol of this process's server."""

    check = _check
