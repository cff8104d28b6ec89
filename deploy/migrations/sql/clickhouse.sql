-- ClickHouse's tables for one node and for a cluster. deploy/migrations/clickhouse.py substitutes
-- what differs. Each statement runs at every upgrade, so each must be repeatable.

-- One row for each event ID: a repeated insert collapses, and queries count with FINAL.
CREATE TABLE IF NOT EXISTS ${raw_events} ${on_cluster} (
    site_id         UUID,
    metric          LowCardinality(String),
    occurred_at     DateTime64(3, 'UTC'),
    id              UUID,
    notification_id Nullable(UUID),
    claim_id        Nullable(UUID),
    variant_id      Nullable(UUID),
    page            String,
    device          LowCardinality(String),
    country         LowCardinality(String),
    currency        LowCardinality(String),
    amount_minor    Int64,
    captured_at     DateTime64(3, 'UTC')
) ENGINE = ${replacing}
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (site_id, metric, occurred_at, id)
SETTINGS index_granularity = ${granularity};

-- Tables of the first version had neither these columns nor a TTL.
ALTER TABLE ${raw_events} ${on_cluster}
    ADD COLUMN IF NOT EXISTS variant_id   Nullable(UUID) AFTER claim_id,
    ADD COLUMN IF NOT EXISTS page         String AFTER variant_id,
    ADD COLUMN IF NOT EXISTS device       LowCardinality(String) AFTER page,
    ADD COLUMN IF NOT EXISTS country      LowCardinality(String) AFTER device,
    ADD COLUMN IF NOT EXISTS currency     LowCardinality(String) AFTER country,
    ADD COLUMN IF NOT EXISTS amount_minor Int64 AFTER currency;

ALTER TABLE ${raw_events} ${on_cluster}
    MODIFY TTL toDateTime(occurred_at, 'UTC') + INTERVAL ${raw_days} DAY;

-- Counts per hour: for the whole site (dimension '') and for one dimension at a time. Only rows with
-- the version in `rolled_hours` are read; rows of other versions are left over.
CREATE TABLE IF NOT EXISTS ${hourly_counts} ${on_cluster} (
    site_id   UUID,
    timestamp DateTime('UTC'),
    metric    LowCardinality(String),
    dimension LowCardinality(String),
    key       String,
    value     Int64,
    version   UInt64
) ENGINE = ${replacing_by_version}
PARTITION BY toYYYYMM(timestamp)
ORDER BY (site_id, dimension, metric, timestamp, key)
SETTINGS index_granularity = ${granularity};

-- The counts of whole sites alone: charts read them first, and they are few beside the dimensions'.
-- A row is valid while the row it is copied from is.
CREATE TABLE IF NOT EXISTS ${hourly_totals} ${on_cluster} (
    site_id   UUID,
    timestamp DateTime('UTC'),
    metric    LowCardinality(String),
    value     Int64,
    version   UInt64
) ENGINE = ${replacing_by_version}
PARTITION BY toYear(timestamp)
ORDER BY (site_id, metric, timestamp)
SETTINGS index_granularity = ${granularity};

CREATE MATERIALIZED VIEW IF NOT EXISTS totals_of_hours ${on_cluster} TO ${hourly_totals} AS
SELECT site_id, timestamp, metric, value, version FROM ${hourly_counts} WHERE dimension = '';

-- Counts per day, kept as long as the site exists, for long-term trends.
CREATE TABLE IF NOT EXISTS ${daily_counts} ${on_cluster} (
    site_id   UUID,
    timestamp DateTime('UTC'),
    metric    LowCardinality(String),
    dimension LowCardinality(String),
    key       String,
    value     Int64,
    version   UInt64
) ENGINE = ${replacing_by_version}
PARTITION BY toYear(timestamp)
ORDER BY (site_id, dimension, metric, timestamp, key)
SETTINGS index_granularity = ${granularity};

-- Every hour that has events, whether its counts are in `hourly_counts`, and under which version.
-- A late event reopens its hour until the next rollup.
CREATE TABLE IF NOT EXISTS rolled_hours ${on_cluster} (
    timestamp DateTime('UTC'),
    closed    Bool,
    version   UInt64
) ENGINE = ${everywhere_by_version}
ORDER BY timestamp;

-- The days in `daily_counts`, their version, and the states of the hours they were made from.
-- Once one of the hours has another state, queries read the day by the hour.
CREATE TABLE IF NOT EXISTS rolled_days ${on_cluster} (
    timestamp DateTime('UTC'),
    hours     UInt64,
    version   UInt64
) ENGINE = ${everywhere_by_version}
ORDER BY timestamp;

-- The first rollups had no dimensions: hours that they closed are rolled up again from raw events.
INSERT INTO rolled_hours
SELECT timestamp, false, toUnixTimestamp64Micro(now64(6)) FROM rolled_hours FINAL
WHERE closed AND (
    SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'hourly'
) > 0;

DROP TABLE IF EXISTS hourly ${on_cluster};

-- A rollup from before there were totals must not close an hour: this version is newer than its own.
INSERT INTO rolled_hours
SELECT timestamp, false, toUnixTimestamp64Micro(now64(6)) FROM rolled_hours FINAL WHERE NOT closed;
