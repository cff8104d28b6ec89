-- The archive: its files, each site's share in them, restores, and exports.

CREATE FUNCTION row_fingerprint(site_id uuid, at timestamptz, id uuid, event_type text)
RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN hashtextextended(site_id::text || id::text || event_type,
                        (extract(epoch FROM at) * 1000000)::bigint);

CREATE TABLE archives (
    id              uuid PRIMARY KEY,
    table_name      text NOT NULL CHECK (table_name IN ('events', 'notification_events')),
    partition       text NOT NULL,
    range_start     timestamptz NOT NULL,
    range_end       timestamptz NOT NULL,
    retention_days  integer NOT NULL,
    part            integer NOT NULL,
    status          text NOT NULL
                    CHECK (status IN ('PLANNED', 'STAGED', 'VERIFIED', 'STORED', 'DROPPED')),
    after_key       text[],
    last_key        text[],
    has_more        boolean NOT NULL DEFAULT false,
    rows            bigint,
    fingerprint     numeric,
    bytes           bigint,
    sha256          text,
    key             text,
    staging_key     text,
    removed         bigint NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    error           text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    staged_at       timestamptz,
    verified_at     timestamptz,
    stored_at       timestamptz,
    dropped_at      timestamptz,
    CHECK (status IN ('PLANNED') OR (rows > 0 AND fingerprint IS NOT NULL AND sha256 IS NOT NULL)),
    CHECK (status NOT IN ('STORED', 'DROPPED') OR key IS NOT NULL),
    UNIQUE (table_name, partition, retention_days, part)
);
COMMENT ON COLUMN archives.retention_days IS 'The class of sites whose rows these are.';
-- Only one part of a unit may be in progress at a time.
CREATE UNIQUE INDEX archives_one_at_a_time ON archives (table_name, partition, retention_days)
    WHERE status IN ('PLANNED', 'STAGED', 'VERIFIED');
CREATE INDEX archives_unfinished_idx ON archives (table_name, partition)
    WHERE status <> 'DROPPED' OR staging_key IS NOT NULL;

CREATE TABLE archive_shares (
    id          uuid PRIMARY KEY,
    archive_id  uuid NOT NULL REFERENCES archives (id),
    account_id  uuid NOT NULL,
    site_id     uuid NOT NULL,
    table_name  text NOT NULL,
    range_start timestamptz NOT NULL,
    range_end   timestamptz NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    rows        bigint NOT NULL CHECK (rows > 0),
    sha256      text NOT NULL,
    status      text NOT NULL CHECK (status IN ('ARCHIVING', 'ARCHIVED')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (archive_id, site_id),
    UNIQUE (id, account_id, site_id, table_name) -- what a restore says of its share is so
);
CREATE INDEX archive_shares_site_id_id_idx ON archive_shares (site_id, id DESC);

CREATE TABLE archive_restores (
    id              uuid PRIMARY KEY,
    share_id        uuid NOT NULL,
    account_id      uuid NOT NULL,
    site_id         uuid NOT NULL,
    table_name      text NOT NULL,
    requested_by    uuid NOT NULL,
    days            integer NOT NULL CHECK (days > 0),
    status          text NOT NULL DEFAULT 'REQUESTED' CHECK (status IN
                    ('REQUESTED', 'WAITING', 'LOADING', 'READY', 'EXPIRED')),
    rows            bigint,
    error           text,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    requested_at    timestamptz NOT NULL DEFAULT now(),
    ready_at        timestamptz,
    expires_at      timestamptz,
    FOREIGN KEY (share_id, account_id, site_id, table_name)
        REFERENCES archive_shares (id, account_id, site_id, table_name)
);
CREATE INDEX archive_restores_share_id_id_idx ON archive_restores (share_id, id DESC);
CREATE UNIQUE INDEX archive_restores_one_at_a_time ON archive_restores (share_id)
    WHERE status <> 'EXPIRED';

CREATE TABLE exports (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL,
    site_id         uuid NOT NULL,
    requested_by    uuid NOT NULL,
    range_start     timestamptz NOT NULL,
    range_end       timestamptz NOT NULL CHECK (range_end > range_start),
    format          text NOT NULL CHECK (format IN ('CSV', 'NDJSON')),
    types           text[],
    status          text NOT NULL DEFAULT 'QUEUED'
                    CHECK (status IN ('QUEUED', 'RUNNING', 'READY', 'FAILED', 'EXPIRED')),
    rows            bigint NOT NULL DEFAULT 0,
    rows_expected   bigint,
    bytes           bigint NOT NULL DEFAULT 0,
    key             text,
    upload_id       text,
    etags           text[] NOT NULL DEFAULT '{}',
    last_key        text[],
    error           text,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    expires_at      timestamptz
);
CREATE INDEX exports_site_id_id_idx ON exports (site_id, id DESC);
CREATE UNIQUE INDEX exports_one_at_a_time ON exports (site_id)
    WHERE status IN ('QUEUED', 'RUNNING');

-- The rows in a partition's range, to compare with the rows in the archive.
CREATE FUNCTION standing(
    parent text, starting timestamptz, ending timestamptz, OUT rows bigint, OUT fingerprint numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    at constant text := CASE parent WHEN 'events' THEN 'time' ELSE 'created_at' END;
BEGIN
    EXECUTE format('SELECT count(*), coalesce(sum(row_fingerprint(site_id, %1$I, id, event_type)), 0)
                    FROM %2$I WHERE %1$I >= $1 AND %1$I < $2', at, parent)
        INTO rows, fingerprint USING starting, ending;
END $$;

CREATE OR REPLACE FUNCTION is_archived(parent text, starting timestamptz, ending timestamptz)
RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    stored record;
    found record;
BEGIN
    SELECT count(*) AS parts, coalesce(sum(a.rows), 0) AS rows,
           coalesce(sum(a.fingerprint), 0) AS fingerprint
    INTO stored FROM archives a
    WHERE a.table_name = parent AND a.range_start = starting AND a.range_end = ending
        AND a.status = 'STORED';
    SELECT * INTO found FROM standing(parent, starting, ending);
    RETURN found.rows = stored.rows AND found.fingerprint = stored.fingerprint;
END $$;
COMMENT ON FUNCTION is_archived IS 'Whether all that stands in a range, be it nothing, is stored.';

-- SHARE blocks writers, but not readers, from the comparison to the drop.
CREATE FUNCTION drop_archived(parent text, partition text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    found record;
BEGIN
    SELECT * INTO found FROM partitions_of(parent) p
    WHERE p.name = partition AND p.range_end <= now();
    IF found IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE MODE', partition::regclass);
    IF NOT is_archived(parent, found.range_start, found.range_end) THEN
        RETURN false;
    END IF;
    PERFORM drop_partition(parent, partition);
    WITH gone AS (
        UPDATE archives SET status = 'DROPPED', dropped_at = now()
        WHERE table_name = parent AND range_start = found.range_start
            AND range_end = found.range_end AND status = 'STORED'
        RETURNING id
    )
    UPDATE archive_shares SET status = 'ARCHIVED' WHERE archive_id IN (SELECT id FROM gone);
    RETURN true;
END $$;

-- Restored rows: one partition for each restore, dropped when the restore expires.
CREATE SCHEMA restored;
GRANT USAGE ON SCHEMA restored TO proofgraph_app, proofgraph_worker;
CREATE TABLE restored.events (
    restore_id uuid NOT NULL, position bigint NOT NULL, LIKE public.events,
    PRIMARY KEY (restore_id, position)
) PARTITION BY LIST (restore_id);
CREATE TABLE restored.notification_events (
    restore_id uuid NOT NULL, position bigint NOT NULL, LIKE public.notification_events,
    PRIMARY KEY (restore_id, position)
) PARTITION BY LIST (restore_id);

CREATE FUNCTION open_restored(restore uuid, parent text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = restored, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE restored.%I PARTITION OF restored.%I FOR VALUES IN (%L)',
                   'r_' || replace(restore::text, '-', ''), parent, restore);
END $$;

CREATE FUNCTION close_restored(restore uuid, parent text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = restored, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS restored.%I', 'r_' || replace(restore::text, '-', ''));
END $$;

-- Grants. `archives` covers all tenants, so only the services may read it.
GRANT SELECT ON archive_shares, archive_restores, exports TO proofgraph_app;
GRANT INSERT (id, share_id, account_id, site_id, table_name, requested_by, days)
    ON archive_restores TO proofgraph_app;
GRANT INSERT (id, account_id, site_id, requested_by, range_start, range_end, format, types)
    ON exports TO proofgraph_app;
GRANT SELECT ON restored.events, restored.notification_events TO proofgraph_app;
GRANT DELETE ON events, notification_events TO proofgraph_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON archives, archive_shares TO proofgraph_worker;
GRANT SELECT, UPDATE ON archive_restores, exports TO proofgraph_worker;
GRANT INSERT, SELECT ON restored.events, restored.notification_events TO proofgraph_worker;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['public.archives', 'public.archive_shares',
        'public.archive_restores', 'public.exports', 'restored.events',
        'restored.notification_events']
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY services ON %s TO proofgraph_worker
                        USING (true) WITH CHECK (true)', name);
        IF name <> 'public.archives' THEN
            EXECUTE format('CREATE POLICY tenant ON %s TO proofgraph_app
                            USING (account_id = ANY ((SELECT current_accounts())::uuid[]))
                            WITH CHECK (account_id = ANY ((SELECT current_accounts())::uuid[]))',
                           name);
        END IF;
    END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION standing, is_archived, drop_archived, open_restored, close_restored
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_archived, drop_archived, open_restored, close_restored
    TO proofgraph_worker;
