-- The worker needs no new grant to empty bodies; it needs one to delete claims.
GRANT DELETE ON claims TO proofgraph_worker;
CREATE INDEX claims_published_at_idx ON claims (published_at);
-- Rows that still have a body: as many days of webhooks as bodies are kept, however large the inbox.
CREATE INDEX inbox_body_received_at_idx ON inbox (received_at)
    WHERE body <> '' AND status <> 'RECEIVED';
