-- A session that waited for another to create the month does not find it by name yet: PostgreSQL
-- caches failed look-ups of names until the next statement.
CREATE OR REPLACE FUNCTION let_worker_insert(partition text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    made oid := (SELECT oid FROM pg_class
                 WHERE relname = partition AND relnamespace = 'public'::regnamespace);
BEGIN
    IF NOT has_table_privilege('proofgraph_worker', made, 'INSERT') THEN
        EXECUTE format('GRANT INSERT ON %I TO proofgraph_worker', partition);
    END IF;
END $$;
