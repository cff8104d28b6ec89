"""The process's S3 clients, and boto3's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from subgraphs.kernel.config import settings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 30
"""Timeouts of one attempt; boto3 makes three. A task has 2 minutes in all."""


class ObjectStoreError(OSError):
    """S3 is unavailable or refuses; the same call may succeed later."""


class NoSuchObject(Exception):
    """There is no object with this key, or no such upload."""


@lru_cache(maxsize=1)
def client() -> "S3Client":
    """Returns the process's client and creates it at the first call."""
    return _connect(settings().s3_url)


@lru_cache(maxsize=1)
def public_client() -> "S3Client":
    """Returns a client for the same store at the address that users reach; it only signs links."""
    return _connect(settings().s3_public_url or settings().s3_url)


def dispose() -> None:
    """Drops the clients; the next call connects again."""
    for cached in (client, public_client):
        cached.cache_clear()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raises boto3's errors as `NoSuchObject` or `ObjectStoreError`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchKey", "NoSuchUpload"):
            raise NoSuchObject(str(error)) from error
        raise ObjectStoreError(str(error)) from error
    except BotoCoreError as error:
        raise ObjectStoreError(str(error)) from error


def error_code(error: Any) -> str:
    """Returns S3's code of a botocore ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _connect(url: str) -> "S3Client":
    import boto3
    from botocore.config import Config

    config = settings()
    return boto3.client(
        "s3",
        endpoint_url=url or None,
        region_name=config.s3_region or None,
        aws_access_key_id=config.s3_access_key or None,
        aws_secret_access_key=config.s3_secret_key.get_secret_value() or None,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"mode": "standard", "max_attempts": 3},
            # A self-hosted store seldom has a DNS name for each bucket.
            s3={"addressing_style": "path" if url else "auto"},
            signature_version="s3v4",
        ),
    )
