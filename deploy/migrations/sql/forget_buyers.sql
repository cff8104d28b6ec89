-- The worker empties bodies by the right it has to mark them as read; claims it deletes.
GRANT DELETE ON claims TO proofgraph_worker;
CREATE INDEX claims_published_at_idx ON claims (published_at);
-- What has a body still: as many days of webhooks as bodies are kept, however large the inbox is.
CREATE INDEX inbox_body_received_at_idx ON inbox (received_at)
    WHERE body <> '' AND status <> 'RECEIVED';
