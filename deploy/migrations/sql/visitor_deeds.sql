-- Visitor events that are not yet in the profiles: one row for each batch, written with the batch,
-- and deleted a few seconds later, once folded into `visitor_profiles` (workers/visitor_profiles.py).
CREATE TABLE visitor_deeds (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deeds bytea NOT NULL
);
-- The rows are packed and short-lived: compression would cost more than it saves.
ALTER TABLE visitor_deeds ALTER COLUMN deeds SET STORAGE EXTERNAL;
-- FOR UPDATE requires the UPDATE privilege.
GRANT SELECT, INSERT, UPDATE, DELETE ON visitor_deeds TO proofgraph_worker;
ALTER TABLE visitor_deeds ENABLE ROW LEVEL SECURITY;
CREATE POLICY services ON visitor_deeds TO proofgraph_worker USING (true) WITH CHECK (true);
