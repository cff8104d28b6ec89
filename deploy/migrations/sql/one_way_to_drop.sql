-- The job compared and dropped with writers in between, and did not tell `archives`. What it did is
-- done by `drop_archived`, which the archiver calls for chunks as it does for months.
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
