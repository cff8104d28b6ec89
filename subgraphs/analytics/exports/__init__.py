"""Exports: a worker writes a site's events to a file in S3, and a link downloads it.

Owns the table `exports` and the objects under `exports/` in S3. An export has a status:

    QUEUED -> RUNNING -> READY -> EXPIRED        or FAILED

The file is uploaded in parts. After each part the row stores the progress: the parts, the number of
events and the key of the last one. If a worker is killed, the next one continues from there. A part
that was uploaded but not stored is written again under the same number.

Workers may enter by `job`; the graph by `resolvers` and `types`.
"""
