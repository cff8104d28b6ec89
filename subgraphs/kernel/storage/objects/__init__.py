"""Objects in S3: archives and exports.

    async with objects.uploading("exports/1.csv") as upload:
        await to_thread.run_sync(upload.write, b"id,type\\n")

Uses boto3 in threads. aioboto3 would save the threads, but it pins botocore to one version and
patches its internals, and these jobs move few large objects. All functions block, except
`uploading`; async code calls them with `anyio.to_thread`. boto3 is imported at the first call, as
most processes never need it.
"""

from subgraphs.kernel.storage.objects.client import NoSuchObject, ObjectStoreError, dispose
from subgraphs.kernel.storage.objects.store import (
    Head,
    copy,
    delete,
    delete_all,
    download,
    head,
    link,
    restore,
)
from subgraphs.kernel.storage.objects.uploads import (
    PART_BYTES,
    Part,
    Upload,
    abort_upload,
    complete_upload,
    start_upload,
    upload_part,
    uploading,
)

__all__ = [
    "PART_BYTES",
    "Head",
    "NoSuchObject",
    "ObjectStoreError",
    "Part",
    "Upload",
    "abort_upload",
    "complete_upload",
    "copy",
    "delete",
    "delete_all",
    "dispose",
    "download",
    "head",
    "link",
    "restore",
    "start_upload",
    "upload_part",
    "uploading",
]
