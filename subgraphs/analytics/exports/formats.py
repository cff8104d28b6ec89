"""CSV and NDJSON: one event a line, the same fields in the same order.

CSV follows RFC 4180, with every cell in quotes. A spreadsheet runs a cell that begins with = + - @
as a formula; an apostrophe before the sign makes it text. The apostrophe is also written after a
semicolon, a tab and a line break, because in some locales a spreadsheet begins a cell there in
spite of the quotes. A program that reads CSV must remove it, or read NDJSON, which changes no
value.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec


class ExportRow(NamedTuple):
    """One exported event; a field that its type does not have is None."""

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
"""Matches the start of a cell, blanks and quotes before a sign that begins a formula. A quote in a
cell is written twice, and such an empty pair does not protect what follows."""


def csv_header() -> bytes:
    """The first line of a CSV file."""
    return (",".join(f'"{name}"' for name in _NAMES) + "\r\n").encode()


def to_csv(rows: Sequence[ExportRow]) -> bytes:
    """CSV of the rows, without the header."""
    output = io.StringIO(newline="")
    writer = csv.writer(output, quoting=csv.QUOTE_ALL)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return output.getvalue().encode()


def to_ndjson(rows: Sequence[ExportRow]) -> bytes:
    """NDJSON of the rows."""
    return b"".join(_json(row) for row in rows)


Writer = Callable[[Sequence[ExportRow]], bytes]
WRITERS: dict[str, Writer] = {"CSV": to_csv, "NDJSON": to_ndjson}
HEADERS: dict[str, bytes] = {"CSV": csv_header(), "NDJSON": b""}
SUFFIXES = {"CSV": "csv", "NDJSON": "ndjson"}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = _timestamp(value) if isinstance(value, datetime) else str(value)
    return _BEFORE_FORMULA.sub(r"\g<0>'", text)


def _json(row: ExportRow) -> bytes:
    fields: dict[str, Any] = {
        name: _timestamp(value) if isinstance(value, datetime) else value
        for name, value in zip(_NAMES, row, strict=True)
    }
    fields["payload"] = msgspec.Raw(row.payload.encode()) if row.payload is not None else None
    return _encoder.encode(fields) + b"\n"


def _timestamp(value: datetime) -> str:
    """ISO 8601 with milliseconds, so that all values have the same length."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_encoder = msgspec.json.Encoder()
