"""Answers checks from memory, before uvicorn makes a request of them.

Nearly every check is of a credential that was looked up in the last seconds. Its response takes two
look-ups; uvicorn's request cycle, its task, Starlette's layers and the routing would take ten times
longer. All other requests pass on to uvicorn's protocol unchanged.
"""

from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from router.authz.service import CheckEndpoint
from subgraphs.kernel.identity.viewer import VIEWER_HEADER

_HEAD = f"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{VIEWER_HEADER}: ".encode()
_PATH = b"/check"


class CheckProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a short way for known credentials.

    Attributes:
        check: the endpoint whose caches are read.
    """

    check: ClassVar[CheckEndpoint]

    _is_answered = False
    """Whether the request that is being read has its response already."""

    def on_message_begin(self) -> None:
        self._is_answered = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        token = self._known_token()
        if token is None:
            super().on_headers_complete()
            return
        self._is_answered = True
        self.transport.write(b"%s%s\r\n\r\n" % (_HEAD, token.encode()))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self._close_if_idle
        )

    def on_body(self, body: bytes) -> None:
        if not self._is_answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_answered:
            super().on_message_complete()

    def _known_token(self) -> str | None:
        """The signed viewer, if the caches have it and no earlier request is unanswered."""
        is_free = self.cycle is None or self.cycle.response_complete
        path = self.url[: len(_PATH) + 1]
        if not is_free or path not in (_PATH, _PATH + b"/", _PATH + b"?"):
            return None
        if not self.parser.should_keep_alive() or self.parser.should_upgrade():
            return None
        return self.check.known_token(self.parser.get_method(), self.headers)

    def _close_if_idle(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
