GRANT DELETE ON visitor_profiles TO proofgraph_worker;
-- Rows lie about in the order they were last written, so a few bytes for each range of blocks find
-- the old ones; unlike other indexes this one leaves updates in place.
CREATE INDEX visitor_profiles_last_seen_at_idx ON visitor_profiles USING brin (last_seen_at)
    WITH (autosummarize = on);
