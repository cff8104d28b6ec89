"""Multipart uploads."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from anyio import to_thread

from subgraphs.kernel.config import settings
from subgraphs.kernel.storage.objects.client import NoSuchObject, client, translated_errors

PART_BYTES = 8 * 1024 * 1024
"""Bytes of one part. S3 accepts no part below 5 MiB, except the last."""


class Part(NamedTuple):
    """A part that S3 has received."""

    number: int
    etag: str


def start_upload(key: str) -> str:
    """Starts a multipart upload; returns its ID."""
    with translated_errors():
        reply = client().create_multipart_upload(Bucket=settings().s3_bucket, Key=key)
    return reply["UploadId"]


def upload_part(key: str, upload_id: str, number: int, data: bytes) -> Part:
    """Uploads a part; numbers begin at 1. A second part with a number replaces the first.

    Raises:
        NoSuchObject: the upload does not exist any more.
    """
    with translated_errors():
        reply = client().upload_part(
            Bucket=settings().s3_bucket,
            Key=key,
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
        )
    return Part(number, reply["ETag"])


def complete_upload(key: str, upload_id: str, parts: Sequence[Part]) -> None:
    """Creates the object from its parts.

    Raises:
        NoSuchObject: the upload does not exist any more; perhaps it was completed before.
    """
    uploaded: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
    with translated_errors():
        client().complete_multipart_upload(
            Bucket=settings().s3_bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": uploaded},
        )


def abort_upload(key: str, upload_id: str) -> None:
    """Deletes an upload and its parts; an upload that does not exist is no error."""
    try:
        with translated_errors():
            client().abort_multipart_upload(
                Bucket=settings().s3_bucket, Key=key, UploadId=upload_id
            )
    except NoSuchObject:
        pass


class Upload:
    """A writable file whose bytes go to S3 part by part.

    Holds at most two parts in memory. `bytes` and `sha256` cover what was written so far.
    """

    def __init__(self, key: str) -> None:
        self.bytes = 0
        self.closed = False
        self._key = key
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._parts: list[Part] = []
        self._upload_id = start_upload(key)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        self._digest.update(data)
        self._buffer += data
        self.bytes += len(data)
        while len(self._buffer) >= PART_BYTES:
            self._send(PART_BYTES)
        return len(data)

    def flush(self) -> None:
        """Does nothing: S3 accepts no part that is too small."""

    def close(self) -> None:
        """Does nothing, for writers that close their file: only `complete` creates the object."""

    def complete(self) -> None:
        """Uploads the rest and creates the object."""
        if self._buffer or not self._parts:
            self._send(len(self._buffer))
        complete_upload(self._key, self._upload_id, self._parts)
        self.closed = True

    def abort(self) -> None:
        """Deletes what was uploaded."""
        abort_upload(self._key, self._upload_id)
        self.closed = True

    def _send(self, size: int) -> None:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        number = len(self._parts) + 1
        self._parts.append(upload_part(self._key, self._upload_id, number, data))


@asynccontextmanager
async def uploading(key: str) -> AsyncIterator[Upload]:
    """Yields an upload that is completed at the block's end, and aborted on any error.

    `Upload.write` blocks, so async code calls it in a thread.
    """
    upload = await to_thread.run_sync(Upload, key)
    try:
        yield upload
    except BaseException:
        upload.abort()  # not in a thread: a cancelled task cannot wait for one
        raise
    await to_thread.run_sync(upload.complete)
