"""What the webhook receiver reads of a request: its headers, its body, the signature over it."""

import base64
import hmac
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

import msgspec
from starlette.types import Receive

from subgraphs.integrations.inbox.responses import TooLarge
from subgraphs.kernel.errors import BadUserInput

MAX_BODY = 1_048_576
"""Bytes. Shopify's largest orders, with hundreds of line items, have half as many."""

_PRINTABLE = re.compile(rb"[\x21-\x7e]{1,255}")

_SIGNATURE, _DELIVERY_ID = b"x-shopify-hmac-sha256", b"x-shopify-webhook-id"
_TOPIC, _EVENT_ID = b"x-shopify-topic", b"x-shopify-event-id"
_READ = frozenset({_SIGNATURE, _DELIVERY_ID, _TOPIC, _EVENT_ID})


class Disconnected(Exception):
    """The client has gone; nobody reads the response."""


class Headers(NamedTuple):
    """The headers of a webhook. Older API versions of Shopify send no event id."""

    signature: bytes
    delivery_id: bytes
    topic: bytes
    event_id: bytes | None

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> Self:
        """Those of an ASGI scope, whose names are in lower case."""
        found = {name: value for name, value in headers if name in _READ}
        return cls(
            signature=found.get(_SIGNATURE, b""),
            delivery_id=found.get(_DELIVERY_ID, b""),
            topic=found.get(_TOPIC, b""),
            event_id=found.get(_EVENT_ID),
        )

    def check(self) -> None:
        """Raises BadUserInput if a header has a value that cannot be stored."""
        for name, value in (
            ("X-Shopify-Webhook-Id", self.delivery_id),
            ("X-Shopify-Event-Id", self.event_id),
            ("X-Shopify-Topic", self.topic),
        ):
            if value is not None and not _PRINTABLE.fullmatch(value):
                raise BadUserInput(
                    f"The header {name} must have 1 to 255 printable ASCII characters."
                )


async def read(receive: Receive, take: Callable[[int], None]) -> bytes:
    """The raw body; reading stops when it is too large.

    Args:
        take: is called with the size of each piece, and raises if there is no space for it.

    Raises:
        TooLarge: the body has more than `MAX_BODY` bytes.
        Disconnected: the client has gone.
    """
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        if piece := message.get("body", b""):
            if len(body) + len(piece) > MAX_BODY:
                raise TooLarge(f"The body has more than {MAX_BODY} bytes.")
            take(len(piece))
            body = body + piece if body else piece
        if not message.get("more_body", False):
            return body


def is_signed(body: bytes, secret: bytes, signature: bytes) -> bool:
    """Whether the signature is the body's HMAC-SHA256 under this secret, in base64."""
    digest = hmac.digest(secret, body, "sha256")
    return hmac.compare_digest(base64.b64encode(digest), signature)


def json_error(body: bytes) -> str | None:
    """Why the body is no JSON object; None if it is one."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"The body is not JSON: {error}."
    return None if isinstance(content, dict) else "The body is not a JSON object."
