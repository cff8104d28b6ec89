"""Exports: a site's events in a file, made by a job, fetched by a link.

    QUEUED -> RUNNING -> READY -> EXPIRED        or FAILED

The file goes to S3 in parts. After each part the row says how far it came (which parts, which rows,
behind which key), so that a job that is killed goes on from there: a part that was uploaded and not
noted is made again under the same number.
"""
