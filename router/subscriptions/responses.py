"""Complete HTTP responses, encoded."""

from typing import Any

import msgspec

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    503: "Service Unavailable",
}


def text_response(status: int, text: str) -> bytes:
    """Returns a response with a plain text."""
    return _response(status, "text/plain; charset=utf-8", text.encode())


def error_response(status: int, message: str, code: str, **headers: str) -> bytes:
    """Returns a response with one GraphQL error."""
    return errors_response(status, [{"message": message, "extensions": {"code": code}}], **headers)


def errors_response(status: int, errors: list[dict[str, Any]], **headers: str) -> bytes:
    """Returns a response with GraphQL errors."""
    body = msgspec.json.encode({"errors": errors})
    return _response(status, "application/json", body, **headers)


def _response(status: int, media_type: str, body: bytes, **headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
