-- Partitions the ledger by month: `events` (a TimescaleDB hypertable where that extension is
-- available) and `notification_events` (each month in 8 parts by site). Existing rows are moved.

ALTER TABLE events RENAME TO events_before;
ALTER INDEX events_pkey RENAME TO events_before_pkey;
ALTER TABLE notification_events RENAME TO notification_events_before;
ALTER INDEX notification_events_pkey RENAME TO notification_events_before_pkey;
DROP INDEX events_site_id_time_idx, notification_events_site_id_created_at_idx,
    notification_events_claim_id_idx;

CREATE TABLE notification_events (
    created_at      timestamptz NOT NULL,
    id              uuid NOT NULL,
    account_id      uuid NOT NULL,
    site_id         uuid NOT NULL,
    notification_id uuid NOT NULL,
    claim_id        uuid NOT NULL,
    event_type      text NOT NULL,
    captured_at     timestamptz NOT NULL,
    visitor_id      text,
    page            text,
    variant_id      uuid,
    device          text,
    country         text,
    arm             text,
    revenue_minor   bigint,
    currency        text,
    source_event_id uuid,
    PRIMARY KEY (site_id, created_at, id, event_type)
) PARTITION BY RANGE (created_at);
CREATE INDEX notification_events_notification_id_created_at_idx
    ON notification_events (notification_id, created_at);
CREATE INDEX notification_events_claim_id_idx ON notification_events (claim_id);
CREATE INDEX notification_events_site_id_visitor_id_created_at_idx
    ON notification_events (site_id, visitor_id, created_at) WHERE visitor_id IS NOT NULL;
COMMENT ON COLUMN notification_events.source_event_id IS 'The order behind a conversion.';

-- TimescaleDB is used where the server has loaded it and its licence includes compression and jobs.
-- Its settings exist only if it is loaded; otherwise CREATE EXTENSION would end the connection.
DO $$
DECLARE
    shape text := '';
BEGIN
    IF current_setting('timescaledb.max_background_workers', true) IS NOT NULL
        AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
    THEN
        BEGIN
            CREATE EXTENSION IF NOT EXISTS timescaledb;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to TimescaleDB: native partitions instead';
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
        OR current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale'
    THEN
        shape := 'PARTITION BY RANGE (time)';
    END IF;
    EXECUTE 'CREATE TABLE events (
        time        timestamptz NOT NULL,
        id          uuid NOT NULL,
        account_id  uuid NOT NULL,
        site_id     uuid NOT NULL,
        event_type  text NOT NULL,
        captured_at timestamptz NOT NULL,
        source      text NOT NULL,
        visitor_id  text,
        payload     jsonb NOT NULL,
        PRIMARY KEY (site_id, time, id, event_type)
    ) ' || shape;
END $$;

CREATE FUNCTION is_hypertable(parent text) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN (SELECT relkind = 'r' FROM pg_class
        WHERE relname = parent AND relnamespace = 'public'::regnamespace);

-- Creates a month's partition unless it exists. It is attached when complete, so other sessions can
-- read and write the table meanwhile. Sessions that need the same month wait for each other.
CREATE FUNCTION make_partition(parent text, month timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    child text := parent || to_char(month, '_YYYY_MM');
    parts constant integer := 8;
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE relname = child
               AND relnamespace = 'public'::regnamespace) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('partitions'));
    IF EXISTS (SELECT FROM pg_class WHERE relname = child
               AND relnamespace = 'public'::regnamespace) THEN
        RETURN;
    END IF;
    IF parent = 'notification_events' THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY HASH (site_id)',
                       child, parent);
        FOR part IN 0 .. parts - 1 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I
                            FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
                           child || '_' || part, child, parts, part);
        END LOOP;
    ELSE
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, child, month, month + interval '1 month');
END $$;

CREATE FUNCTION ensure_partitions(starting timestamptz, ending timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', starting);
BEGIN
    IF ending - starting > interval '3700 days' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'more than ten years of partitions at once';
    END IF;
    WHILE month <= ending LOOP
        PERFORM make_partition('notification_events', month);
        IF NOT is_hypertable('events') THEN
            PERFORM make_partition('events', month);
        END IF;
        month := month + interval '1 month';
    END LOOP;
END $$;
COMMENT ON FUNCTION ensure_partitions IS 'Both tables'' partitions for these times, ends included.';

CREATE FUNCTION partitions_of(
    parent text, OUT name text, OUT range_start timestamptz, OUT range_end timestamptz)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
    IF is_hypertable(parent) THEN
        RETURN QUERY EXECUTE
            'SELECT format(''%I.%I'', c.chunk_schema, c.chunk_name), c.range_start, c.range_end
             FROM timescaledb_information.chunks c
             WHERE c.hypertable_schema = ''public'' AND c.hypertable_name = $1
             ORDER BY c.range_start' USING parent;
    ELSE
        RETURN QUERY
            SELECT child.relname::text, bound[1]::timestamptz, bound[2]::timestamptz
            FROM pg_inherits i
            JOIN pg_class child ON child.oid = i.inhrelid
            JOIN pg_class p ON p.oid = i.inhparent AND p.relnamespace = 'public'::regnamespace
            CROSS JOIN regexp_match(pg_get_expr(child.relpartbound, child.oid),
                                    'FROM \(''(.+)''\) TO \(''(.+)''\)') AS bound
            WHERE p.relname = parent AND p.relispartition = false
            ORDER BY bound[1]::timestamptz;
    END IF;
END $$;
COMMENT ON FUNCTION partitions_of IS 'Oldest first; range_end is not in the partition.';

-- The archive replaces this function; until then, nothing is archived.
CREATE FUNCTION is_archived(parent text, starting timestamptz, ending timestamptz) RETURNS boolean
LANGUAGE sql STABLE RETURN false;

-- Waits for its lock no longer than writers may wait behind it.
CREATE FUNCTION drop_partition(parent text, partition text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    found record;
BEGIN
    SELECT * INTO found FROM partitions_of(parent) p
    WHERE p.name = partition AND parent IN ('events', 'notification_events');
    IF found IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('%s is no partition of %s', partition, parent);
    END IF;
    IF is_hypertable(parent) THEN
        EXECUTE format('SELECT %I.drop_chunks(''public.events''::regclass, $1, $2)',
                       (SELECT extnamespace::regnamespace FROM pg_extension
                        WHERE extname = 'timescaledb'))
            USING found.range_end, found.range_start;
    ELSE
        EXECUTE format('DROP TABLE %I', partition);
    END IF;
END $$;

-- For the trigger of a staging table, whose new rows are `staged`: creates the months of these rows.
-- The trigger's argument is the name of the time column.
CREATE FUNCTION partition_staged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz;
BEGIN
    FOR month IN EXECUTE format(
        'SELECT DISTINCT date_trunc(''month'', %I) FROM staged ORDER BY 1', TG_ARGV[0])
    LOOP
        PERFORM ensure_partitions(month, month);
    END LOOP;
    RETURN NULL;
END $$;

SELECT ensure_partitions(month, month) FROM (
    SELECT date_trunc('month', time, 'UTC') AS month FROM events_before
    UNION SELECT date_trunc('month', created_at, 'UTC') FROM notification_events_before
    UNION SELECT date_trunc('month', now(), 'UTC') + n * interval '1 month'
    FROM generate_series(0, 2) AS n) AS months;

DO $$
DECLARE
    at text;
BEGIN
    IF NOT is_hypertable('events') THEN
        RETURN;
    END IF;
    SELECT extnamespace::regnamespace INTO at FROM pg_extension WHERE extname = 'timescaledb';
    EXECUTE format('SELECT %1$s.create_hypertable(''public.events''::regclass,
                        %1$s.by_range(''time'', interval ''7 days''),
                        create_default_indexes => false)', at);
    ALTER TABLE events SET (timescaledb.compress, timescaledb.compress_segmentby = 'site_id',
                            timescaledb.compress_orderby = 'time DESC');
    EXECUTE format('SELECT %s.add_compression_policy(''public.events''::regclass,
                        interval ''7 days'')', at);
    -- Not a retention policy: that would drop rows that are not archived yet.
    CREATE FUNCTION drop_archived_chunks(job_id integer, config jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $job$
    DECLARE
        old record;
    BEGIN
        FOR old IN SELECT * FROM partitions_of('events') p
            WHERE p.range_end < now() - (config ->> 'keep')::interval
                AND is_archived('events', p.range_start, p.range_end)
        LOOP
            PERFORM drop_partition('events', old.name);
        END LOOP;
    END $job$;
    REVOKE EXECUTE ON FUNCTION drop_archived_chunks FROM PUBLIC;
    EXECUTE format('SELECT %s.add_job(''public.drop_archived_chunks''::regproc, interval ''1 day'',
                        config => ''{"keep": "90 days"}'')', at);
END $$;

-- Truncates times to milliseconds, as the envelope reader does from now on.
INSERT INTO events
SELECT date_trunc('milliseconds', time), id, account_id, site_id, event_type, captured_at, source,
       visitor_id, payload
FROM events_before;
INSERT INTO notification_events (created_at, id, account_id, site_id, notification_id, claim_id,
                                 event_type, captured_at, visitor_id, page)
SELECT date_trunc('milliseconds', created_at), id, account_id, site_id, notification_id, claim_id,
       event_type, captured_at, visitor_id, page
FROM notification_events_before;
DROP TABLE events_before, notification_events_before;

-- TimescaleDB does not compress a table with row security, so tenants reach `events` only through a
-- view. Partitions have no grants: every read goes through the parent's row security.
GRANT SELECT, INSERT ON events, notification_events TO proofgraph_worker;
GRANT SELECT ON notification_events TO proofgraph_app;
ALTER TABLE notification_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY services ON notification_events TO proofgraph_worker USING (true) WITH CHECK (true);
CREATE POLICY tenant ON notification_events TO proofgraph_app
    USING (account_id = ANY ((SELECT current_accounts())::uuid[]))
    WITH CHECK (account_id = ANY ((SELECT current_accounts())::uuid[]));

CREATE VIEW source_events WITH (security_barrier = true) AS
    SELECT * FROM events WHERE account_id = ANY ((SELECT current_accounts())::uuid[]);
GRANT SELECT ON source_events TO proofgraph_app;

REVOKE EXECUTE ON FUNCTION make_partition, ensure_partitions, partitions_of, drop_partition,
    partition_staged, is_archived, is_hypertable FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions, partitions_of, drop_partition, partition_staged,
    is_archived, is_hypertable TO proofgraph_worker;
