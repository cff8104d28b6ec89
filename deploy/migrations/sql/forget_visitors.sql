GRANT DELETE ON visitor_profiles TO proofgraph_worker;
-- Rows are stored in the order of their last write, so a BRIN index of a few bytes per block range
-- finds the old ones. Unlike other indexes, it allows HOT updates.
CREATE INDEX visitor_profiles_last_seen_at_idx ON visitor_profiles USING brin (last_seen_at)
    WITH (autosummarize = on);
