-- The job compared and dropped without blocking writers, and did not update `archives`. The archiver
-- now calls `drop_archived` for chunks, as it does for months.
DO $$
BEGIN
    IF is_hypertable('events') THEN
        EXECUTE format('SELECT %s.delete_job(job_id) FROM timescaledb_information.jobs
                        WHERE proc_schema = ''public'' AND proc_name = ''drop_archived_chunks''',
                       (SELECT extnamespace::regnamespace FROM pg_extension
                        WHERE extname = 'timescaledb'));
        DROP FUNCTION drop_archived_chunks;
    END IF;
END $$;
