-- The limits of each plan, and a copy of them beside each site for the ingest endpoint, the webhook
-- receiver and the retention.

ALTER TABLE plans
    ADD COLUMN events_per_second integer CHECK (events_per_second > 0),
    ADD COLUMN retention_days    integer CHECK (retention_days >= 90);
UPDATE plans SET (events_per_second, retention_days) = (limits.rate, limits.days)
    FROM (VALUES ('free', 50, 90), ('starter', 200, 90), ('growth', 2000, 365))
        AS limits (id, rate, days)
    WHERE plans.id = limits.id;
ALTER TABLE plans
    ALTER COLUMN events_per_second SET NOT NULL,
    ALTER COLUMN retention_days SET NOT NULL;

-- The defaults are those of the free plan, on which every site starts.
ALTER TABLE tenants
    ADD COLUMN events_per_second integer NOT NULL DEFAULT 50,
    ADD COLUMN retention_days    integer NOT NULL DEFAULT 90;
UPDATE tenants SET (events_per_second, retention_days) = (plans.events_per_second, plans.retention_days)
    FROM subscriptions JOIN plans ON plans.id = subscriptions.plan_id
    WHERE subscriptions.site_id = tenants.site_id;
GRANT UPDATE (events_per_second, retention_days) ON tenants TO proofgraph_app;
