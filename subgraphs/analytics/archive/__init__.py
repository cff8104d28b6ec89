"""The archive: events past their retention move from PostgreSQL to S3, and come back on request.

Owns the tables `archives`, `archive_shares` and `archive_restores`, the schema `restored` and the
objects under `archives/` and `staging/` in S3.

The rows of a table's partition with one retention form a unit. They are archived in parts, each a
row of `archives` with a status:

    PLANNED   nothing is written yet                                        planning.py
    STAGED    a readable Parquet file is in S3, under `staging/`            staging.py
    VERIFIED  the file was read back: same checksum, same number of rows    cold_storage.py
    STORED    a copy with the same checksum is in the class GLACIER         cold_storage.py
    DROPPED   exactly these rows have been deleted from PostgreSQL          removal.py

`lifecycle` takes units through these states and `restores` brings a site's rows back. A partition
whose rows are all STORED is dropped whole. Otherwise the rows in the staged file are deleted by
key, so a row that arrived later stays and becomes part of another file. A process may be killed in
any step and the step repeated: each attempt writes an object with a name of its own, which counts
only once the row names it.

Workers may enter by `planning`, `lifecycle` and `restores`; the graph by `resolvers` and `types`.
"""
