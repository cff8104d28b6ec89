-- A page of `events` reads a site's rows in the order (time, id, event_type), newest first. If
-- compressed rows have exactly this order, TimescaleDB decompresses only the page's batches instead
-- of sorting all of the site's rows in the chunk. Chunks that are compressed already are compressed
-- again; this reads and writes all of them, and locks one after the other.
DO $$
DECLARE
    at text;
    chunk text;
BEGIN
    IF NOT is_hypertable('events') THEN
        RETURN;
    END IF;
    SELECT extnamespace::regnamespace INTO at FROM pg_extension WHERE extname = 'timescaledb';
    ALTER TABLE events SET (timescaledb.compress_segmentby = 'site_id',
                            timescaledb.compress_orderby = 'time DESC, id DESC, event_type DESC');
    FOR chunk IN
        SELECT format('%I.%I', c.chunk_schema, c.chunk_name) FROM timescaledb_information.chunks c
        WHERE c.hypertable_schema = 'public' AND c.hypertable_name = 'events' AND c.is_compressed
        ORDER BY c.range_start
    LOOP
        EXECUTE format('SELECT %s.compress_chunk($1, recompress => true)', at) USING chunk::regclass;
    END LOOP;
END $$;
