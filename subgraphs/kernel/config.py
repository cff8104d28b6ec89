"""Settings, read from the environment once. Nothing else in Proofgraph reads `os.environ`."""

from functools import lru_cache
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SubgraphName = Literal["users", "sites", "notifications", "analytics", "integrations", "billing"]
SUBGRAPHS: tuple[SubgraphName, ...] = (
    "users",
    "sites",
    "notifications",
    "analytics",
    "integrations",
    "billing",
)


class Settings(BaseSettings):
    """Each process gets only the secrets it needs; a missing one fails at its first use."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    public_url: str = "http://localhost:8080"
    """The public address; part of webhook addresses and links."""

    database_url: SecretStr = SecretStr("")
    """PostgreSQL as `proofgraph_app`: row-level security applies to every statement."""

    worker_database_url: SecretStr = SecretStr("")
    """PostgreSQL as `proofgraph_worker`: sees every tenant. For workers, the webhook receiver, the
    ingest endpoint and the edge authz."""

    owner_database_url: SecretStr = SecretStr("")
    """PostgreSQL as the owner of the tables; for migrations only."""

    database_pool_size: int = 5
    """Connections that each process may hold open."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Counters, live channels, and the event stream unless `stream_url` is set."""

    stream_url: str = ""
    """The event stream: redis://… or kafka://host:port[,host:port]. Empty: `redis_url`."""

    celery_broker_url: str = ""
    """Celery's queues. Empty: database 1 of `redis_url`'s server."""

    clickhouse_url: str = "http://127.0.0.1:8123/"
    """ClickHouse over HTTP; the address may have a user and a password."""

    clickhouse_database: str = "proofgraph"

    clickhouse_cluster: str = ""
    """The cluster's name in ClickHouse's own configuration. Empty: a single node."""

    raw_retention_days: int = 365
    """Days that ClickHouse keeps single events: the longest retention of any plan. Later events
    are not counted there. Read by the migrations and the workers."""

    s3_url: str = ""
    """The S3 endpoint. Empty: AWS, by region and bucket."""

    s3_public_url: str = ""
    """The same store's address for users, in links to exports. Empty: `s3_url`."""

    s3_bucket: str = "proofgraph"
    """Holds the archives and the exports."""

    s3_region: str = ""
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    """Empty: AWS's default credential chain, such as the machine's role."""

    viewer_signing_key: SecretStr = SecretStr("")
    """Ed25519 private key (PEM in base64) of `x-proofgraph-viewer`; for the edge authz only."""

    viewer_verify_key: str = ""
    """The public key of `viewer_signing_key`, for every subgraph."""

    session_signing_key: SecretStr = SecretStr("")
    """Ed25519 private key (PEM in base64) of users' sessions; for the users subgraph only."""

    session_verify_key: str = ""
    """The public key of `session_signing_key`, for the edge authz."""

    pii_key: SecretStr = SecretStr("")
    """Wraps each account's data key for personal data; never stored in the database."""

    secrets_key: SecretStr = SecretStr("")
    """32 bytes, base64: encrypts the secrets shared with shops, such as webhook secrets."""

    authz_url: str = "http://127.0.0.1:4000"
    """The edge authz; the subscription gateway authenticates with it too."""

    router_url: str = "http://127.0.0.1:4100/"
    """Apollo Router or the embedded gateway, without the path."""

    users_url: str = "http://127.0.0.1:4001/users/graphql"
    sites_url: str = "http://127.0.0.1:4001/sites/graphql"
    notifications_url: str = "http://127.0.0.1:4001/notifications/graphql"
    analytics_url: str = "http://127.0.0.1:4001/analytics/graphql"
    integrations_url: str = "http://127.0.0.1:4001/integrations/graphql"
    billing_url: str = "http://127.0.0.1:4001/billing/graphql"

    allow_loopback_origins: bool = False
    """Accept pages served from loopback for every site; for the local stack only."""

    metrics_port: int = 0
    """Loopback port for /metrics of the ingest endpoint or the stream worker; 0: none."""

    log_level: str = "INFO"

    log_format: Literal["json", "console"] = "json"
    """`console` is for people: the local stack and terminals."""

    @property
    def broker_url(self) -> str:
        """Celery's broker: a database of its own, so its keys and the streams' never collide."""
        return self.celery_broker_url or self.redis_url.rsplit("/", 1)[0] + "/1"

    def subgraph_url(self, name: SubgraphName) -> str:
        """The GraphQL address of a subgraph."""
        return str(getattr(self, f"{name}_url"))


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings; the same object every time."""
    return Settings()
