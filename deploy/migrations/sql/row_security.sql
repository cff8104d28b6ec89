-- Two roles. proofgraph_app sees only the rows of the viewer's accounts. proofgraph_worker serves all
-- tenants, but only on the tables that its work needs.

GRANT SELECT, INSERT, UPDATE ON accounts, users, sites, templates, notifications, integrations,
    subscriptions TO proofgraph_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON members TO proofgraph_app;
GRANT SELECT, INSERT ON tenants TO proofgraph_app;
GRANT SELECT, INSERT ON credentials TO proofgraph_app;
GRANT INSERT ON outbox TO proofgraph_app;
GRANT SELECT ON claims, events, notification_events, counters, inbox, plans TO proofgraph_app;

GRANT SELECT ON members, tenants, credentials, notifications, templates, integrations, plans,
    subscriptions TO proofgraph_worker;
GRANT SELECT, INSERT, UPDATE ON claims, events, notification_events, counters, inbox
    TO proofgraph_worker;
-- FOR UPDATE requires the UPDATE privilege.
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO proofgraph_worker;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['accounts', 'encryption_keys', 'users', 'members', 'sites', 'tenants',
        'credentials', 'outbox', 'templates', 'notifications', 'claims', 'events',
        'notification_events', 'counters', 'integrations', 'inbox', 'subscriptions']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY services ON %I TO proofgraph_worker
                        USING (true) WITH CHECK (true)', name);
    END LOOP;

    FOREACH name IN ARRAY ARRAY['members', 'sites', 'tenants', 'templates', 'notifications', 'claims',
        'events', 'notification_events', 'counters', 'integrations', 'inbox', 'subscriptions']
    LOOP
        EXECUTE format('CREATE POLICY tenant ON %I TO proofgraph_app
                        USING (account_id = ANY ((SELECT current_accounts())::uuid[]))
                        WITH CHECK (account_id = ANY ((SELECT current_accounts())::uuid[]))', name);
    END LOOP;
END $$;

CREATE POLICY tenant ON accounts TO proofgraph_app
    USING (id = ANY ((SELECT current_accounts())::uuid[]))
    WITH CHECK (id = ANY ((SELECT current_accounts())::uuid[]));
CREATE POLICY reachable ON users TO proofgraph_app
    USING (may_read_user(id)) WITH CHECK (id = current_user_id());
CREATE POLICY own ON credentials TO proofgraph_app
    USING (account_id = ANY ((SELECT current_accounts())::uuid[]))
    WITH CHECK (kind = 'ended_session' OR account_id = ANY ((SELECT current_accounts())::uuid[]));
CREATE POLICY anyone ON outbox FOR INSERT TO proofgraph_app WITH CHECK (true);
