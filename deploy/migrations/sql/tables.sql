-- The tables of all domains. A foreign key stays inside a domain, or references a site or an account.

CREATE EXTENSION IF NOT EXISTS pgcrypto;

-- users
CREATE TABLE accounts (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE encryption_keys (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts (id),
    wrapped_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX encryption_keys_account_id_idx ON encryption_keys (account_id);

CREATE TABLE users (
    id                          uuid PRIMARY KEY,
    email                       text CHECK (email IS NULL),
    full_name                   text CHECK (full_name IS NULL),
    email_encrypted             bytea NOT NULL,
    email_encryption_key_id     uuid NOT NULL REFERENCES encryption_keys (id),
    email_index                 bytea NOT NULL UNIQUE,
    full_name_encrypted         bytea,
    full_name_encryption_key_id uuid REFERENCES encryption_keys (id),
    hashed_password             text,
    auth_provider               text,
    auth_provider_id            text,
    mfa_enabled                 boolean NOT NULL DEFAULT false,
    preferred_language          text NOT NULL DEFAULT 'en',
    preferred_timezone          text NOT NULL DEFAULT 'UTC',
    role                        text,
    created_at                  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN users.email IS 'Written in plain, stored encrypted by a trigger; always NULL.';
COMMENT ON COLUMN users.full_name IS 'Written in plain, stored encrypted by a trigger; always NULL.';
COMMENT ON COLUMN users.email_index IS 'Keyed hash of the lower-case address, to find a user by it.';

CREATE TABLE members (
    account_id uuid NOT NULL REFERENCES accounts (id),
    user_id    uuid NOT NULL REFERENCES users (id),
    role       text NOT NULL CHECK (role IN ('OWNER', 'ADMIN', 'VIEWER')),
    joined_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX members_user_id_idx ON members (user_id);

-- sites
CREATE TABLE sites (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts (id),
    owner_id    uuid NOT NULL REFERENCES users (id),
    name        text NOT NULL,
    domain      text NOT NULL UNIQUE,
    site_key    text NOT NULL UNIQUE,
    settings    jsonb NOT NULL DEFAULT '{}',
    data_region text,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sites_account_id_id_idx ON sites (account_id, id DESC);

-- kernel: the data of a site that the edge and the other domains read
CREATE TABLE tenants (
    site_id    uuid PRIMARY KEY REFERENCES sites (id),
    account_id uuid NOT NULL REFERENCES accounts (id),
    domain     text NOT NULL
);

CREATE TABLE credentials (
    hash       bytea PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('site_key', 'ended_session')),
    account_id uuid REFERENCES accounts (id),
    site_id    uuid REFERENCES sites (id),
    expires_at timestamptz
);

CREATE TABLE outbox (
    id         uuid PRIMARY KEY,
    task       text NOT NULL,
    arguments  jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- notifications
CREATE TABLE templates (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts (id),
    site_id     uuid NOT NULL REFERENCES sites (id),
    name        text NOT NULL,
    body        text NOT NULL,
    css_content text,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX templates_site_id_idx ON templates (site_id);

CREATE TABLE notifications (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts (id),
    site_id     uuid NOT NULL REFERENCES sites (id),
    template_id uuid NOT NULL REFERENCES templates (id),
    name        text NOT NULL,
    type        text NOT NULL,
    status      text NOT NULL CHECK (status IN ('DRAFT', 'ACTIVE', 'PAUSED', 'ARCHIVED')),
    channels    text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notifications_site_id_id_idx ON notifications (site_id, id DESC);

CREATE TABLE claims (
    id               uuid PRIMARY KEY,
    account_id       uuid NOT NULL REFERENCES accounts (id),
    site_id          uuid NOT NULL REFERENCES sites (id),
    notification_id  uuid NOT NULL REFERENCES notifications (id),
    source_event_ids uuid[] NOT NULL CHECK (cardinality(source_event_ids) > 0),
    text             text NOT NULL,
    url              text,
    occurred_at      timestamptz NOT NULL,
    published_at     timestamptz NOT NULL,
    cursor           text
);
CREATE INDEX claims_notification_id_id_idx ON claims (notification_id, id DESC);

-- analytics: the ledger. Each primary key contains the time, so both tables can be partitioned.
CREATE TABLE events (
    time        timestamptz NOT NULL,
    id          uuid NOT NULL,
    account_id  uuid NOT NULL,
    site_id     uuid NOT NULL,
    event_type  text NOT NULL,
    captured_at timestamptz NOT NULL,
    source      text NOT NULL,
    visitor_id  text,
    payload     jsonb NOT NULL,
    PRIMARY KEY (id, time)
);
CREATE INDEX events_site_id_time_idx ON events (site_id, time DESC);

CREATE TABLE notification_events (
    created_at      timestamptz NOT NULL,
    id              uuid NOT NULL,
    account_id      uuid NOT NULL,
    site_id         uuid NOT NULL,
    notification_id uuid NOT NULL,
    claim_id        uuid NOT NULL,
    event_type      text NOT NULL,
    captured_at     timestamptz NOT NULL,
    visitor_id      text,
    page            text,
    PRIMARY KEY (id, created_at)
);
CREATE INDEX notification_events_site_id_created_at_idx
    ON notification_events (site_id, created_at DESC);
CREATE INDEX notification_events_claim_id_idx ON notification_events (claim_id);

-- Counters of a site's notification events. The transaction that writes the ledger updates them, so a
-- repeated batch adds nothing. Redis has a copy.
CREATE TABLE counters (
    site_id    uuid NOT NULL,
    account_id uuid NOT NULL,
    metric     text NOT NULL,
    value      bigint NOT NULL,
    PRIMARY KEY (site_id, metric)
);

-- integrations
CREATE TABLE integrations (
    id            uuid PRIMARY KEY,
    account_id    uuid NOT NULL REFERENCES accounts (id),
    site_id       uuid NOT NULL REFERENCES sites (id),
    provider      text NOT NULL,
    status        text NOT NULL,
    sealed_secret bytea NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX integrations_site_id_idx ON integrations (site_id);

CREATE TABLE inbox (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL REFERENCES accounts (id),
    site_id        uuid NOT NULL REFERENCES sites (id),
    integration_id uuid NOT NULL REFERENCES integrations (id),
    delivery_id    text NOT NULL,
    event_id       text,
    topic          text NOT NULL,
    body           bytea NOT NULL,
    status         text NOT NULL CHECK (status IN ('RECEIVED', 'PROCESSED', 'IGNORED', 'REJECTED')),
    error          text,
    received_at    timestamptz NOT NULL DEFAULT now(),
    processed_at   timestamptz,
    UNIQUE (integration_id, delivery_id)
);
CREATE INDEX inbox_integration_id_id_idx ON inbox (integration_id, id DESC);
-- Unprocessed webhooks: few rows, queried every few seconds.
CREATE INDEX inbox_received_at_idx ON inbox (received_at) WHERE status = 'RECEIVED';

-- billing
CREATE TABLE plans (
    id                  text PRIMARY KEY,
    name                text NOT NULL,
    monthly_price_minor integer NOT NULL CHECK (monthly_price_minor >= 0),
    currency            char(3) NOT NULL,
    monthly_events      integer NOT NULL CHECK (monthly_events > 0)
);
INSERT INTO plans VALUES
    ('free', 'Free', 0, 'USD', 10000),
    ('starter', 'Starter', 1900, 'USD', 250000),
    ('growth', 'Growth', 7900, 'USD', 2500000);

CREATE TABLE subscriptions (
    site_id    uuid PRIMARY KEY REFERENCES sites (id),
    account_id uuid NOT NULL REFERENCES accounts (id),
    plan_id    text NOT NULL REFERENCES plans (id),
    since      timestamptz NOT NULL DEFAULT now()
);
