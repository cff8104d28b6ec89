"""Conversion of the ledger's rows to Parquet and back, without loss.

The columns are read from PostgreSQL's catalogue, so a new column is archived without a change here.
Values of types without an exact Arrow type, such as jsonb, are stored as PostgreSQL's text.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pyarrow as pa

TIME_COLUMNS = {"events": "time", "notification_events": "created_at"}
"""The archived tables, and the column that they are partitioned by."""

PG_TYPE = b"pg_type"
"""The metadata key of a Parquet field that holds the name of its PostgreSQL type."""

Row = Sequence[Any]


class Column(NamedTuple):
    """The name of a column, and the name of its PostgreSQL type."""

    name: str
    type: str

    @property
    def is_exact(self) -> bool:
        """Whether Arrow has an exact type for its values; otherwise they are stored as text."""
        return self.type in _TYPES

    def expression(self, table: str) -> str:
        """The expression that selects the column from `table`."""
        name = f'{table}."{self.name}"'
        return name if self.is_exact else f'{name}::text AS "{self.name}"'

    @property
    def field(self) -> "pa.Field":
        arrow = _TYPES.get(self.type, pa.string())
        return pa.field(self.name, arrow, metadata={PG_TYPE: self.type.encode()})


_TYPES: dict[str, "pa.DataType"] = {
    "uuid": pa.uuid(),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "text": pa.string(),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "boolean": pa.bool_(),
}

_COLUMNS = """
    SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def columns_of(driver: asyncpg.Connection, table: str) -> list[Column]:
    """The columns of a table, in order."""
    return [Column(*row) for row in await driver.fetch(_COLUMNS, table)]


def columns_in(schema: "pa.Schema") -> list[Column]:
    """The columns of a Parquet file, in order."""
    return [Column(field.name, field.metadata[PG_TYPE].decode()) for field in schema]


def schema_of(columns: Sequence[Column]) -> "pa.Schema":
    """The Arrow schema of columns."""
    return pa.schema([column.field for column in columns])


def to_batch(columns: Sequence[Column], rows: Sequence[Row]) -> "pa.RecordBatch":
    """Rows of PostgreSQL as an Arrow batch."""
    by_column = zip(*rows, strict=True)
    arrays = [
        _to_array(column, list(values)) for column, values in zip(columns, by_column, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns))


def to_rows(batch: "pa.RecordBatch") -> list[tuple[Any, ...]]:
    """An Arrow batch as rows for PostgreSQL."""
    by_column = [
        _from_array(column, batch.column(column.name)) for column in columns_in(batch.schema)
    ]
    return list(zip(*by_column, strict=True))


def _to_array(column: Column, values: list[Any]) -> "pa.Array":
    if column.type == "uuid":
        raw = [None if value is None else value.bytes for value in values]
        return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(raw, pa.binary(16)))
    return pa.array(values, column.field.type)


def _from_array(column: Column, array: "pa.Array") -> list[Any]:
    if column.type == "uuid":
        raw = array.storage if isinstance(array, pa.ExtensionArray) else array
        return [None if value is None else UUID(bytes=value) for value in raw.to_pylist()]
    values: list[Any] = array.to_pylist()
    return values


def key_text(key: Row) -> list[str]:
    """A row's key (site, time, ID, type) as `archives` stores it."""
    site_id, time, id_, event_type = key
    return [str(site_id), time.isoformat(), str(id_), event_type]


def key_of(text: Sequence[str]) -> tuple[UUID, datetime, UUID, str]:
    """The key that `key_text` wrote."""
    site_id, time, id_, event_type = text
    return UUID(site_id), datetime.fromisoformat(time), UUID(id_), event_type
