"""STAGED to VERIFIED to STORED: the file is read back, then copied into the cold class.

An object in GLACIER cannot be read before it is restored, so all reading is done before the copy;
of the copy S3 itself tells the checksum.
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
"""Names below it tell the table, the partition and the class: nothing of any person or tenant."""

_READABLE_DAYS = 2
"""How long an archive that had to be fetched back stays: until its rows have been deleted."""


class NotAsWritten(Exception):
    """What S3 has is not what was written."""


async def verify(session: AsyncSession, archive: Archive) -> None:
    """Read every byte and every row back.

    Raises:
        NotAsWritten: the bytes or the number of rows differ, or the file is gone.
    """
    await to_thread.run_sync(_read_back, archive)
    archive.status, archive.verified_at = "VERIFIED", func.now()


async def store(session: AsyncSession, archive: Archive) -> None:
    """Copy it into GLACIER; where the unit has rows behind it, plan the next part.

    Raises:
        NotAsWritten: the copy has another checksum.
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
    """The part behind this one."""
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
    """A file on disk while it is needed, known to be the same bytes.

    Raises:
        NotAsWritten: they are not, or the file is gone.
        ObjectStoreError: S3 does not give it out just now.
    """
    try:
        found = objects.download(key, into)
    except objects.NoSuchObject as error:
        raise NotAsWritten(f"{key} is gone") from error
    if found != sha256:
        raise NotAsWritten(f"{key} has sha256 {found}, written was {sha256}")


def copy_of(archive: Archive) -> str:
    """The name of a copy that can be read: the staged one, or else the archive itself.

    Raises:
        NotAsWritten: neither can be read now; the archive has been asked for and comes in hours.
    """
    staged, key = _known(archive.staging_key), _known(archive.key)
    if objects.head(staged) is not None:
        return staged
    found = objects.head(key)
    if found is not None and found.is_readable:
        return key
    objects.restore(key, _READABLE_DAYS)
    raise NotAsWritten(f"{staged} is gone; {key} has been asked for")


def _read_back(archive: Archive) -> None:
    with tempfile.TemporaryFile() as file:
        fetch(_known(archive.staging_key), _known(archive.sha256), file)
        rows = sum(batch.num_rows for batch in pq.ParquetFile(file).iter_batches())
    if rows != archive.rows:
        raise NotAsWritten(f"{archive.staging_key} has {rows} rows, written were {archive.rows}")


def _copy(archive: Archive, key: str) -> None:
    sha256, rows = _known(archive.sha256), str(archive.rows)
    found = objects.copy(_known(archive.staging_key), key, "GLACIER", sha256=sha256, rows=rows)
    if found != sha256:
        raise NotAsWritten(f"{key} has sha256 {found}, written was {sha256}")


def _known(value: str | None) -> str:
    if value is None:
        raise NotAsWritten("the record tells of no file")
    return value
