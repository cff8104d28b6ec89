"""Objects in S3: archives and exports.

boto3 in threads. aioboto3 would spare the threads, yet it holds botocore to one exact version and
rewrites its insides, and these jobs move few large objects. All calls here block; async code goes
through `anyio.to_thread`. The library is imported when first needed: most processes never do.

    async with objects.uploading("exports/1.csv") as upload:
        await to_thread.run_sync(upload.write, b"id,type\\n")
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from anyio import to_thread

from subgraphs.kernel.config import settings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PART_BYTES = 8 * 1024 * 1024
"""One part of an upload in parts; S3 takes no less than 5 MiB, but for the last."""

_READ_BYTES = 1024 * 1024

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 30
"""What one call may wait for; it is tried three times. Tasks have two minutes in all."""

StorageClass = Literal["STANDARD", "GLACIER"]


class ObjectStoreError(OSError):
    """S3 is away or refuses; the same call may succeed later."""


class NoSuchObject(Exception):
    """There is no object of this name, or no such upload."""


class Head(NamedTuple):
    """What S3 says of an object without giving it out."""

    bytes: int
    storage_class: str
    restore: str | None
    """S3's words on a restore that was asked for."""

    @property
    def is_readable(self) -> bool:
        """Whether GET answers: it is in no cold class, or has been restored from it."""
        return self.storage_class != "GLACIER" or 'ongoing-request="false"' in (self.restore or "")


class Part(NamedTuple):
    """A part of an upload that S3 has."""

    number: int
    etag: str


def head(key: str) -> Head | None:
    """What there is under a name; None if nothing."""
    try:
        with _faults():
            found = _client().head_object(Bucket=settings().s3_bucket, Key=key)
    except NoSuchObject:
        return None
    return Head(found["ContentLength"], found.get("StorageClass", "STANDARD"), found.get("Restore"))


def download(key: str, into: IO[bytes]) -> str:
    """Read an object into a file; answers the sha256 of what came, in hex.

    Raises:
        NoSuchObject: there is none.
        ObjectStoreError: also where it lies in a cold class and is not restored.
    """
    digest = hashlib.sha256()
    with _faults():
        body = _client().get_object(Bucket=settings().s3_bucket, Key=key)["Body"]
        for chunk in body.iter_chunks(_READ_BYTES):
            digest.update(chunk)
            into.write(chunk)
    into.seek(0)
    return digest.hexdigest()


def copy(key: str, to: str, storage_class: StorageClass, **metadata: str) -> str:
    """Copy within S3, up to 5 GB; answers the sha256 that S3 took of the copy, in hex."""
    bucket = settings().s3_bucket
    with _faults():
        answer = _client().copy_object(
            Bucket=bucket,
            Key=to,
            CopySource={"Bucket": bucket, "Key": key},
            StorageClass=storage_class,
            ChecksumAlgorithm="SHA256",
            MetadataDirective="REPLACE",
            Metadata=metadata,
        )
    return base64.b64decode(answer["CopyObjectResult"].get("ChecksumSHA256", "")).hex()


def restore(key: str, days: int) -> None:
    """Ask for an object out of its cold class, for so many days; hours pass until it is there."""
    client = _client()
    with _faults():
        try:
            client.restore_object(
                Bucket=settings().s3_bucket,
                Key=key,
                RestoreRequest={"Days": days, "GlacierJobParameters": {"Tier": "Standard"}},
            )
        except client.exceptions.ClientError as error:
            if _code(error) != "RestoreAlreadyInProgress":
                raise


def delete(*keys: str) -> None:
    """Delete objects; those that are not there are no error."""
    for key in keys:
        with _faults():
            _client().delete_object(Bucket=settings().s3_bucket, Key=key)


def delete_all(prefix: str) -> None:
    """Delete what begins with a prefix, and uploads to such names that nobody completed."""
    client, bucket = _client(), settings().s3_bucket
    with _faults():
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            delete(*(found["Key"] for found in page.get("Contents", ())))
        for uploads in client.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, Prefix=prefix
        ):
            for upload in uploads.get("Uploads", ()):
                abort_upload(upload["Key"], upload["UploadId"])


def start_upload(key: str) -> str:
    """Begin an upload in parts; answers its id."""
    with _faults():
        answer = _client().create_multipart_upload(Bucket=settings().s3_bucket, Key=key)
    return answer["UploadId"]


def upload_part(key: str, upload_id: str, number: int, data: bytes) -> Part:
    """Upload a part, from number 1 on; a second one of the same number replaces the first.

    Raises:
        NoSuchObject: there is no such upload any more.
    """
    with _faults():
        answer = _client().upload_part(
            Bucket=settings().s3_bucket,
            Key=key,
            UploadId=upload_id,
            PartNumber=number,
            Body=data,
        )
    return Part(number, answer["ETag"])


def complete_upload(key: str, upload_id: str, parts: Sequence[Part]) -> None:
    """Make the object of its parts.

    Raises:
        NoSuchObject: no such upload any more: completed before, perhaps.
    """
    made: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
    with _faults():
        _client().complete_multipart_upload(
            Bucket=settings().s3_bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": made},
        )


def abort_upload(key: str, upload_id: str) -> None:
    try:
        with _faults():
            _client().abort_multipart_upload(
                Bucket=settings().s3_bucket, Key=key, UploadId=upload_id
            )
    except NoSuchObject:
        pass


def link(key: str, *, filename: str, seconds: int) -> str:
    """An address that gives the object out for a while, without any further credential."""
    return _public_client().generate_presigned_url(
        "get_object",
        Params={
            "Bucket": settings().s3_bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
        },
        ExpiresIn=seconds,
    )


class Upload:
    """A file to write to whose bytes go to S3 part by part.

    Memory: two parts at most. `bytes` and `sha256` tell of what was written.
    """

    def __init__(self, key: str) -> None:
        self.bytes = 0
        self.closed = False
        self._key = key
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self._parts: list[Part] = []
        self._upload_id = start_upload(key)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        self._digest.update(data)
        self._waiting += data
        self.bytes += len(data)
        while len(self._waiting) >= PART_BYTES:
            self._send(PART_BYTES)
        return len(data)

    def flush(self) -> None:
        """What is less than a part waits for the rest."""

    def close(self) -> None:
        """For writers that close their file; there is an object only after `complete`."""

    def complete(self) -> None:
        """Make the object."""
        if self._waiting or not self._parts:
            self._send(len(self._waiting))
        complete_upload(self._key, self._upload_id, self._parts)
        self.closed = True

    def abort(self) -> None:
        abort_upload(self._key, self._upload_id)
        self.closed = True

    def _send(self, size: int) -> None:
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        number = len(self._parts) + 1
        self._parts.append(upload_part(self._key, self._upload_id, number, data))


@asynccontextmanager
async def uploading(key: str) -> AsyncIterator[Upload]:
    """An upload that is completed at the end, or not at all; its writing is for a thread."""
    upload = await to_thread.run_sync(Upload, key)
    try:
        yield upload
    except BaseException:
        upload.abort()  # here: a cancelled task waits for no thread
        raise
    await to_thread.run_sync(upload.complete)


@lru_cache(maxsize=1)
def _client() -> "S3Client":
    return _connect(settings().s3_url)


@lru_cache(maxsize=1)
def _public_client() -> "S3Client":
    """The same store by the address that users reach; it only signs."""
    return _connect(settings().s3_public_url or settings().s3_url)


def _connect(url: str) -> "S3Client":
    import boto3
    from botocore.config import Config

    told = settings()
    return boto3.client(
        "s3",
        endpoint_url=url or None,
        region_name=told.s3_region or None,
        aws_access_key_id=told.s3_access_key or None,
        aws_secret_access_key=told.s3_secret_key.get_secret_value() or None,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"mode": "standard", "max_attempts": 3},
            # An address of our own seldom has a name for each bucket.
            s3={"addressing_style": "path" if url else "auto"},
            signature_version="s3v4",
        ),
    )


@contextmanager
def _faults() -> Iterator[None]:
    """boto3's errors as ours."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if _code(error) in ("404", "NoSuchKey", "NoSuchUpload"):
            raise NoSuchObject(str(error)) from error
        raise ObjectStoreError(str(error)) from error
    except BotoCoreError as error:
        raise ObjectStoreError(str(error)) from error


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def dispose() -> None:
    """Forget the clients; the next call connects anew."""
    for client in (_client, _public_client):
        client.cache_clear()
