"""The edge authz's process: `uvicorn router.authz.app:app`, configured by the kernel's settings."""

from router.authz.authenticator import Authenticator
from router.authz.service import CheckEndpoint, create_app
from router.authz.signed_viewers import SignedViewers
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.sessions import session_verifier
from subgraphs.kernel.identity.viewer import ViewerSigner

_authenticator = Authenticator(session_verifier(), allow_loopback=settings().allow_loopback_origins)
_signed_viewers = SignedViewers(ViewerSigner(settings().viewer_signing_key.get_secret_value()))

app = create_app(
    CheckEndpoint(_authenticator, _signed_viewers), invalidate=_authenticator.invalidate
)
