"""Signed viewers, used again while they have most of their life before them."""

from datetime import timedelta
from time import monotonic

from subgraphs.kernel.identity.viewer import Viewer, ViewerSigner

REUSED_FOR = timedelta(seconds=20)
"""Leaves a request at least 40 of the 60 seconds, more than the router gives a subgraph."""

_ENTRIES = 20_000


class Signatures:
    """Signs viewers; the same viewer gets the same token for a while."""

    def __init__(self, signer: ViewerSigner) -> None:
        self._signer = signer
        self._held: dict[Viewer, tuple[float, str]] = {}

    def of(self, viewer: Viewer) -> str:
        now = monotonic()
        until, token = self._held.get(viewer, (0.0, ""))
        if until <= now:
            if len(self._held) >= _ENTRIES:
                self._held.clear()
            token = self._signer.sign(viewer)
            self._held[viewer] = (now + REUSED_FOR.total_seconds(), token)
        return token
