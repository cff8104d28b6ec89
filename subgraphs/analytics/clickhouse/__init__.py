"""The analytics store in ClickHouse: what is written, how it is counted, and the rollups."""
