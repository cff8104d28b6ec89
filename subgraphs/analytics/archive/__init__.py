"""What becomes of the ledger's rows when their time in PostgreSQL is over.

A unit is (table, partition, retention class). Its rows go, in parts, through these states, kept in
`archives`:

    PLANNED   nothing written that counts
    STAGED    a Parquet file lies in S3, readable, under `staging/`         staging.py
    VERIFIED  it was read back: same bytes, same number of rows             keeping.py
    STORED    a copy with the same checksum lies in GLACIER                 keeping.py
    DROPPED   exactly those rows have left PostgreSQL                       removing.py

A partition whose rows are all STORED is dropped whole; otherwise the rows in the staged file are
deleted by their keys, so one that came later stays and becomes a further part. Every step may be
killed anywhere and done again: what it writes has a name of its own attempt until the row says so.
"""
