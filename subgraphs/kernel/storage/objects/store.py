"""Operations on whole objects, and temporary links to them."""

import base64
import hashlib
from typing import IO, Literal, NamedTuple

from subgraphs.kernel.config import settings
from subgraphs.kernel.storage.objects.client import (
    NoSuchObject,
    client,
    error_code,
    public_client,
    translated_errors,
)
from subgraphs.kernel.storage.objects.uploads import abort_upload

_READ_BYTES = 1024 * 1024

StorageClass = Literal["STANDARD", "GLACIER"]


class Head(NamedTuple):
    """An object's metadata."""

    bytes: int
    storage_class: str
    restore: str | None
    """S3's state of a requested restore, such as `ongoing-request="true"`."""

    @property
    def is_readable(self) -> bool:
        """Whether GET returns the object: it is in no cold class, or is restored from it."""
        return self.storage_class != "GLACIER" or 'ongoing-request="false"' in (self.restore or "")


def head(key: str) -> Head | None:
    """Returns an object's metadata, or None if there is no object."""
    try:
        with translated_errors():
            found = client().head_object(Bucket=settings().s3_bucket, Key=key)
    except NoSuchObject:
        return None
    return Head(found["ContentLength"], found.get("StorageClass", "STANDARD"), found.get("Restore"))


def download(key: str, into: IO[bytes]) -> str:
    """Writes an object into a file; returns the SHA-256 of its bytes, in hex.

    Raises:
        NoSuchObject: there is no object.
        ObjectStoreError: S3 is unavailable, or the object is in a cold class and not restored.
    """
    digest = hashlib.sha256()
    with translated_errors():
        body = client().get_object(Bucket=settings().s3_bucket, Key=key)["Body"]
        for chunk in body.iter_chunks(_READ_BYTES):
            digest.update(chunk)
            into.write(chunk)
    into.seek(0)
    return digest.hexdigest()


def copy(key: str, to: str, storage_class: StorageClass, **metadata: str) -> str:
    """Copies an object of up to 5 GB within S3; returns S3's SHA-256 of the copy, in hex."""
    bucket = settings().s3_bucket
    with translated_errors():
        reply = client().copy_object(
            Bucket=bucket,
            Key=to,
            CopySource={"Bucket": bucket, "Key": key},
            StorageClass=storage_class,
            ChecksumAlgorithm="SHA256",
            MetadataDirective="REPLACE",
            Metadata=metadata,
        )
    return base64.b64decode(reply["CopyObjectResult"].get("ChecksumSHA256", "")).hex()


def restore(key: str, days: int) -> None:
    """Requests that an object is readable for some days; S3 takes hours to restore it."""
    s3 = client()
    with translated_errors():
        try:
            s3.restore_object(
                Bucket=settings().s3_bucket,
                Key=key,
                RestoreRequest={"Days": days, "GlacierJobParameters": {"Tier": "Standard"}},
            )
        except s3.exceptions.ClientError as error:
            if error_code(error) != "RestoreAlreadyInProgress":
                raise


def delete(*keys: str) -> None:
    """Deletes objects; an object that does not exist is no error."""
    for key in keys:
        with translated_errors():
            client().delete_object(Bucket=settings().s3_bucket, Key=key)


def delete_all(prefix: str) -> None:
    """Deletes the objects and the incomplete uploads whose keys begin with a prefix."""
    s3, bucket = client(), settings().s3_bucket
    with translated_errors():
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            delete(*(found["Key"] for found in page.get("Contents", ())))
        for uploads in s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, Prefix=prefix
        ):
            for upload in uploads.get("Uploads", ()):
                abort_upload(upload["Key"], upload["UploadId"])


def link(key: str, *, filename: str, seconds: int) -> str:
    """Returns a URL that downloads the object for a limited time, without further credentials."""
    return public_client().generate_presigned_url(
        "get_object",
        Params={
            "Bucket": settings().s3_bucket,
            "Key": key,
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
        },
        ExpiresIn=seconds,
    )
