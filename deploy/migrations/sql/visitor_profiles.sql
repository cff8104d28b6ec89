-- Totals of each visitor of a site, updated from new rows of the ledger. The rules are in
-- subgraphs/analytics/pipeline/sessions.py.
CREATE TABLE visitor_profiles (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id      uuid NOT NULL,
    site_id         uuid NOT NULL,
    visitor_id      text NOT NULL,
    session_count   integer NOT NULL,
    behavior_score  double precision NOT NULL GENERATED ALWAYS AS (
        (2 * greatest(session_count - 1, 0) + views + 5 * clicks + 10 * goals + 20 * orders)
        / (2.0 * greatest(session_count - 1, 0) + views + 5 * clicks + 10 * goals + 20 * orders + 20)
    ) STORED,
    views           integer NOT NULL,
    shown           integer NOT NULL,
    clicks          integer NOT NULL,
    dismissals      integer NOT NULL,
    withheld        integer NOT NULL,
    goals           integer NOT NULL,
    orders          integer NOT NULL,
    first_seen_at   timestamptz NOT NULL,
    last_seen_at    timestamptz NOT NULL,
    open_sessions   tstzmultirange NOT NULL,
    closed_sessions integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, visitor_id)
) WITH (fillfactor = 80);
COMMENT ON COLUMN visitor_profiles.open_sessions IS
    'From each session''s first event to half an hour after its last, as far as late events may still
     join them; those before are only counted, in closed_sessions.';

GRANT SELECT ON visitor_profiles TO proofgraph_app;
GRANT SELECT, INSERT, UPDATE ON visitor_profiles TO proofgraph_worker;
ALTER TABLE visitor_profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY services ON visitor_profiles TO proofgraph_worker USING (true) WITH CHECK (true);
CREATE POLICY tenant ON visitor_profiles TO proofgraph_app
    USING (account_id = ANY ((SELECT current_accounts())::uuid[]))
    WITH CHECK (account_id = ANY ((SELECT current_accounts())::uuid[]));
