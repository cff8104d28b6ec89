-- What happened, once per id: a repeated insert collapses, and counts are taken with FINAL.
CREATE TABLE IF NOT EXISTS raw_events (
    site_id         UUID,
    metric          LowCardinality(String),
    occurred_at     DateTime64(3, 'UTC'),
    id              UUID,
    notification_id Nullable(UUID),
    claim_id        Nullable(UUID),
    captured_at     DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (site_id, metric, occurred_at, id);

-- One row an hour and metric; the newest version of a row is the true one.
CREATE TABLE IF NOT EXISTS hourly (
    site_id   UUID,
    timestamp DateTime('UTC'),
    metric    LowCardinality(String),
    value     UInt64,
    version   UInt64
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (site_id, metric, timestamp);

-- Which hours stand in `hourly`. A late event opens its hour again, until the next rollup.
CREATE TABLE IF NOT EXISTS rolled_hours (
    timestamp DateTime('UTC'),
    closed    Bool,
    version   UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY timestamp;
