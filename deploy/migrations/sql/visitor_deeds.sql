-- What visitors did and is not yet in their profiles: a row a batch, written with the batch, folded
-- into `visitor_profiles` and removed a few seconds later (workers/visitor_profiles.py).
CREATE TABLE visitor_deeds (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deeds bytea NOT NULL
);
-- Packed already, and gone soon: to compress it would cost more than it saves.
ALTER TABLE visitor_deeds ALTER COLUMN deeds SET STORAGE EXTERNAL;
-- UPDATE is what FOR UPDATE asks for.
GRANT SELECT, INSERT, UPDATE, DELETE ON visitor_deeds TO proofgraph_worker;
ALTER TABLE visitor_deeds ENABLE ROW LEVEL SECURITY;
CREATE POLICY services ON visitor_deeds TO proofgraph_worker USING (true) WITH CHECK (true);
