-- The inbox is processed in batches: live webhooks before backfill, and the webhooks of a site in
-- their order.
ALTER TABLE inbox ADD COLUMN is_backfill boolean NOT NULL DEFAULT false;
DROP INDEX inbox_received_at_idx;
CREATE INDEX inbox_waiting_idx ON inbox (is_backfill, site_id, id) WHERE status = 'RECEIVED';
-- Compressing the bodies was half of an insert's cost. A server that is built without LZ4 keeps pglz.
DO $$ BEGIN
    ALTER TABLE inbox ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
