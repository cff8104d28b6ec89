-- A/B tests: variants of one notification, compared by what visitors do.

CREATE TABLE ab_tests (
    id                 uuid PRIMARY KEY,
    account_id         uuid NOT NULL REFERENCES accounts (id),
    site_id            uuid NOT NULL REFERENCES sites (id),
    notification_id    uuid NOT NULL REFERENCES notifications (id),
    name               text NOT NULL,
    status             text NOT NULL CHECK (status IN ('DRAFT', 'RUNNING', 'STOPPED')),
    winner_variant_id  uuid,
    winner_selected_at timestamptz,
    started_at         timestamptz,
    stopped_at         timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ab_tests_notification_id_id_idx ON ab_tests (notification_id, id DESC);
CREATE INDEX ab_tests_site_id_idx ON ab_tests (site_id);
-- Two running tests would split the claims of one notification between them.
CREATE UNIQUE INDEX ab_tests_running_key ON ab_tests (notification_id) WHERE status = 'RUNNING';

CREATE TABLE ab_test_variants (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    site_id    uuid NOT NULL REFERENCES sites (id),
    ab_test_id uuid NOT NULL REFERENCES ab_tests (id),
    name       text NOT NULL,
    body       text NOT NULL,
    weight     integer NOT NULL CHECK (weight > 0),
    position   integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (ab_test_id, name)
);
ALTER TABLE ab_tests ADD CONSTRAINT ab_tests_winner_variant_id_fkey
    FOREIGN KEY (winner_variant_id) REFERENCES ab_test_variants (id);

-- No foreign key: PostgreSQL would look it up for every claim, and variants are never deleted.
ALTER TABLE claims ADD COLUMN variant_id uuid;

GRANT SELECT, INSERT, UPDATE ON ab_tests TO proofgraph_app;
GRANT SELECT, INSERT ON ab_test_variants TO proofgraph_app;
GRANT SELECT ON ab_tests, ab_test_variants TO proofgraph_worker;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ab_tests', 'ab_test_variants'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY services ON %I TO proofgraph_worker
                        USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO proofgraph_app
                        USING (account_id = ANY ((SELECT current_accounts())::uuid[]))
                        WITH CHECK (account_id = ANY ((SELECT current_accounts())::uuid[]))', name);
    END LOOP;
END $$;
