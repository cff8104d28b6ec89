"""STAGED to VERIFIED to STORED: the staged file is read back, then copied to the class GLACIER.

An object in GLACIER cannot be read before it is restored, so the file is verified before the copy.
S3 itself reports the checksum of the copy.
"""

import tempfile
from typing import IO

import pyarrow.parquet as pq
from anyio import to_thread
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive.models import Archive
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.storage import objects

PREFIX = "archives"
"""Keys name the table, the partition and the retention, and no person or tenant."""

_READABLE_DAYS = 2
"""How long an archive restored for a deletion stays readable; deleting its rows takes less."""


class ArchiveMismatch(Exception):
    """The object in S3 differs from what was written, or is missing."""


async def verify(session: AsyncSession, archive: Archive) -> None:
    """Read every byte and every row of the staged file back.

    Raises:
        ArchiveMismatch: the checksum or the number of rows differs, or the object is missing.
    """
    await to_thread.run_sync(_verify, archive)
    archive.status, archive.verified_at = "VERIFIED", func.now()


async def store(session: AsyncSession, archive: Archive) -> None:
    """Copy the staged file to GLACIER, and plan the next part if the unit has more rows.

    Raises:
        ArchiveMismatch: the copy has a different checksum.
    """
    key = (
        f"{PREFIX}/{archive.table_name}/{archive.range_start:%Y-%m-%d}"
        f"/{archive.retention_days}-days/{archive.id}.parquet"
    )
    await to_thread.run_sync(_copy, archive, key)
    archive.status, archive.stored_at, archive.key = "STORED", func.now(), key
    if archive.has_more:
        session.add(next_part(archive))


def next_part(archive: Archive) -> Archive:
    """The part that begins after the last key of this one."""
    return Archive(
        id=new_id(),
        table_name=archive.table_name,
        partition=archive.partition,
        range_start=archive.range_start,
        range_end=archive.range_end,
        retention_days=archive.retention_days,
        part=archive.part + 1,
        status="PLANNED",
        after_key=archive.last_key,
    )


def fetch(key: str, sha256: str, into: IO[bytes]) -> None:
    """Download an object into a file and check its checksum.

    Raises:
        ArchiveMismatch: the checksum differs, or the object is missing.
        ObjectStoreError: S3 is unavailable.
    """
    try:
        actual = objects.download(key, into)
    except objects.NoSuchObject as error:
        raise ArchiveMismatch(f"{key} is missing") from error
    if actual != sha256:
        raise ArchiveMismatch(f"{key} has sha256 {actual}, expected {sha256}")


def readable_key(archive: Archive) -> str:
    """The key of a readable copy: the staged file, or the archive itself.

    Raises:
        ArchiveMismatch: neither is readable. A restore of the archive was requested, which takes
            hours.
    """
    staged, key = _required(archive.staging_key), _required(archive.key)
    if objects.head(staged) is not None:
        return staged
    found = objects.head(key)
    if found is not None and found.is_readable:
        return key
    objects.restore(key, _READABLE_DAYS)
    raise ArchiveMismatch(f"{staged} is missing; a restore of {key} was requested")


def _verify(archive: Archive) -> None:
    with tempfile.TemporaryFile() as file:
        fetch(_required(archive.staging_key), _required(archive.sha256), file)
        rows = sum(batch.num_rows for batch in pq.ParquetFile(file).iter_batches())
    if rows != archive.rows:
        raise ArchiveMismatch(f"{archive.staging_key} has {rows} rows, expected {archive.rows}")


def _copy(archive: Archive, key: str) -> None:
    sha256, rows = _required(archive.sha256), str(archive.rows)
    actual = objects.copy(_required(archive.staging_key), key, "GLACIER", sha256=sha256, rows=rows)
    if actual != sha256:
        raise ArchiveMismatch(f"{key} has sha256 {actual}, expected {sha256}")


def _required(value: str | None) -> str:
    if value is None:
        raise ArchiveMismatch("the row of `archives` names no object")
    return value
