-- The inbox is processed in batches: live webhooks before backfill, and the webhooks of a site in
-- their order.
ALTER TABLE inbox ADD COLUMN is_backfill boolean NOT NULL DEFAULT false;
DROP INDEX inbox_received_at_idx;
CREATE INDEX inbox_waiting_idx ON inbox (is_backfill, site_id, id) WHERE status = 'RECEIVED';
