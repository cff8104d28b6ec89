-- ClickHouse's tables, for one node and for a cluster alike: deploy/migrations/clickhouse.py fills in
-- what differs. Each statement runs at every upgrade and may run again.

-- What happened, once per id: a repeated insert collapses, and counts are taken with FINAL.
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

-- The first tables had neither these columns nor an end.
ALTER TABLE ${raw_events} ${on_cluster}
    ADD COLUMN IF NOT EXISTS variant_id   Nullable(UUID) AFTER claim_id,
    ADD COLUMN IF NOT EXISTS page         String AFTER variant_id,
    ADD COLUMN IF NOT EXISTS device       LowCardinality(String) AFTER page,
    ADD COLUMN IF NOT EXISTS country      LowCardinality(String) AFTER device,
    ADD COLUMN IF NOT EXISTS currency     LowCardinality(String) AFTER country,
    ADD COLUMN IF NOT EXISTS amount_minor Int64 AFTER currency;

ALTER TABLE ${raw_events} ${on_cluster}
    MODIFY TTL toDateTime(occurred_at, 'UTC') + INTERVAL ${raw_days} DAY;

-- Counts by the hour, for the whole site (dimension '') and by one dimension at a time. Rows are
-- true while `rolled_hours` has their version; what another version left behind is not read.
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

-- The whole site's alone, which charts ask for first and which are few beside the dimensions'. Rows
-- come and count as those they are copied from.
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

-- The same by the day, for as long as the site is there: the long-term trends.
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

-- Every hour that has events, and whether its counts stand in `hourly_counts`, under which version.
-- A late event opens its hour again, until the next rollup.
CREATE TABLE IF NOT EXISTS rolled_hours ${on_cluster} (
    timestamp DateTime('UTC'),
    closed    Bool,
    version   UInt64
) ENGINE = ${everywhere_by_version}
ORDER BY timestamp;

-- Which days stand in `daily_counts`, under which version, made of which states of their hours.
-- As soon as one of the hours has another state, the day is read by the hour.
CREATE TABLE IF NOT EXISTS rolled_days ${on_cluster} (
    timestamp DateTime('UTC'),
    hours     UInt64,
    version   UInt64
) ENGINE = ${everywhere_by_version}
ORDER BY timestamp;

-- The first rollups knew no dimensions: what they closed is rolled anew, from the raw events.
INSERT INTO rolled_hours
SELECT timestamp, false, toUnixTimestamp64Micro(now64(6)) FROM rolled_hours FINAL
WHERE closed AND (
    SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'hourly'
) > 0;

DROP TABLE IF EXISTS hourly ${on_cluster};

-- A rollup that began before there were totals closes no hour without them: this is newer.
INSERT INTO rolled_hours
SELECT timestamp, false, toUnixTimestamp64Micro(now64(6)) FROM rolled_hours FINAL WHERE NOT closed;
