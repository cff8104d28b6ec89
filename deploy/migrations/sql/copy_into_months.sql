-- PostgreSQL refuses COPY into a table with row security. The worker serves all tenants anyway, so it
-- may insert (and nothing else) into the monthly partitions of notification_events directly.

ALTER FUNCTION make_partition(text, timestamptz) RENAME TO make_partition_itself;

CREATE FUNCTION make_partition(parent text, month timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    PERFORM make_partition_itself(parent, month);
    IF parent = 'notification_events' THEN
        PERFORM let_worker_insert(parent || to_char(month, '_YYYY_MM'));
    END IF;
END $$;

CREATE FUNCTION let_worker_insert(partition text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT has_table_privilege('proofgraph_worker', partition, 'INSERT') THEN
        EXECUTE format('GRANT INSERT ON %I TO proofgraph_worker', partition);
    END IF;
END $$;

REVOKE EXECUTE ON FUNCTION make_partition, let_worker_insert FROM PUBLIC;

SELECT let_worker_insert(name) FROM partitions_of('notification_events');
