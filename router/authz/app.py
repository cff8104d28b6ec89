"""The edge authz as a process, with keys and switches from its settings."""

from router.authz.check import Check, create_app
from router.authz.signatures import Signatures
from router.authz.viewers import Viewers
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.sessions import session_verifier
from subgraphs.kernel.identity.viewer import ViewerSigner

_viewers = Viewers(session_verifier(), allow_loopback=settings().allow_loopback_origins)
_signatures = Signatures(ViewerSigner(settings().viewer_signing_key.get_secret_value()))

app = create_app(Check(_viewers, _signatures), invalidate=_viewers.invalidate)
