"""CSV and NDJSON: one event a line, the same fields in the same order.

CSV follows RFC 4180, with every cell in quotes. A spreadsheet takes a cell that begins with = + - @
for a formula; an apostrophe before the sign makes it text. It stands after a semicolon, a tab and a
line's end too: in some countries a spreadsheet begins a cell there, whatever the quotes. Who reads
the CSV with a program takes it off again, or asks for NDJSON, where values are as they are.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec


class Line(NamedTuple):
    """An event as exports tell it. What does not belong to its kind is None."""

    id: UUID
    type: str
    occurred_at: datetime
    captured_at: datetime
    source: str | None
    visitor_id: str | None
    notification_id: UUID | None
    claim_id: UUID | None
    page: str | None
    payload: str | None
    """JSON."""


_NAMES = (
    "id",
    "type",
    "occurredAt",
    "capturedAt",
    "source",
    "visitorId",
    "notificationId",
    "claimId",
    "page",
    "payload",
)
_BEFORE_FORMULA = re.compile(r"""(?:^|[;\t\r\n])(?:[^\S\t\r\n]|")*(?=[=+\-@＝＋－＠])""")
"""Where a cell may begin, then blanks and quotes: one in a cell is written as two, which enclose
nothing."""


def csv_header() -> bytes:
    return (",".join(f'"{name}"' for name in _NAMES) + "\r\n").encode()


def to_csv(lines: Sequence[Line]) -> bytes:
    """Rows without the header."""
    into = io.StringIO(newline="")
    writer = csv.writer(into, quoting=csv.QUOTE_ALL)
    for line in lines:
        writer.writerow([_cell(value) for value in line])
    return into.getvalue().encode()


def to_ndjson(lines: Sequence[Line]) -> bytes:
    return b"".join(_json(line) for line in lines)


Writer = Callable[[Sequence[Line]], bytes]
WRITERS: dict[str, Writer] = {"CSV": to_csv, "NDJSON": to_ndjson}
HEADERS: dict[str, bytes] = {"CSV": csv_header(), "NDJSON": b""}
SUFFIXES = {"CSV": "csv", "NDJSON": "ndjson"}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = _moment(value) if isinstance(value, datetime) else str(value)
    return _BEFORE_FORMULA.sub(r"\g<0>'", text)


def _json(line: Line) -> bytes:
    fields: dict[str, Any] = {
        name: _moment(value) if isinstance(value, datetime) else value
        for name, value in zip(_NAMES, line, strict=True)
    }
    fields["payload"] = msgspec.Raw(line.payload.encode()) if line.payload is not None else None
    return _encoder.encode(fields) + b"\n"


def _moment(value: datetime) -> str:
    """Always with milliseconds, so that a column has one shape."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_encoder = msgspec.json.Encoder()
