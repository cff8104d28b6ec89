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
    """Each process gets only the secrets it needs; an absent one fails where it is first used."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    public_url: str = "http://localhost:8080"
    """Where shops and dashboards reach us; goes into webhook addresses."""

    database_url: SecretStr = SecretStr("")
    """PostgreSQL as `proofgraph_app`: row-level security applies to every statement."""

    worker_database_url: SecretStr = SecretStr("")
    """PostgreSQL as `proofgraph_worker`: sees every tenant; for workers, doors and the authz."""

    owner_database_url: SecretStr = SecretStr("")
    """PostgreSQL as the owner of the tables; for migrations alone."""

    database_pool_size: int = 5
    """Connections each process may hold open."""

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Counters, the live channel, and the event streams unless they are elsewhere."""

    stream_url: str = ""
    """The event streams: redis://…, or kafka://host:port[,host:port]. Empty: `redis_url`."""

    celery_broker_url: str = ""
    """Celery's queues. Empty: database 1 of `redis_url`'s server."""

    clickhouse_url: str = "http://127.0.0.1:8123/"
    """ClickHouse over HTTP; user and password in the address are honoured."""

    clickhouse_database: str = "proofgraph"

    clickhouse_cluster: str = ""
    """The cluster's name in ClickHouse's own configuration. Empty: a single node."""

    raw_retention_days: int = 365
    """How long ClickHouse keeps single events, and so how late one may come and still be counted
    there: the longest that a plan keeps events. Read by the migrations and the workers."""

    s3_url: str = ""
    """Where S3 is. Empty: at AWS, by region and bucket."""

    s3_public_url: str = ""
    """The same store as users reach it, for links to exports. Empty: `s3_url`."""

    s3_bucket: str = "proofgraph"
    """Holds the archives and the exports."""

    s3_region: str = ""
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    """Empty: what AWS's own chain finds, as the role of the machine."""

    viewer_signing_key: SecretStr = SecretStr("")
    """Ed25519 private key (PEM in base64) of `x-proofgraph-viewer`; for the edge authz alone."""

    viewer_verify_key: str = ""
    """Its public half, for every subgraph."""

    session_signing_key: SecretStr = SecretStr("")
    """Ed25519 private key (PEM in base64) of users' sessions; for the users subgraph alone."""

    session_verify_key: str = ""
    """Its public half, for the edge authz."""

    pii_key: SecretStr = SecretStr("")
    """Wraps the accounts' data keys for personal data; never stored in the database."""

    secrets_key: SecretStr = SecretStr("")
    """32 bytes, base64: seals the secrets we share with outside systems."""

    authz_url: str = "http://127.0.0.1:4000"
    """The edge authz; the live door asks it too."""

    router_url: str = "http://127.0.0.1:4100/"
    """Apollo Router or the embedded gateway, without the path."""

    users_url: str = "http://127.0.0.1:4001/users/graphql"
    sites_url: str = "http://127.0.0.1:4001/sites/graphql"
    notifications_url: str = "http://127.0.0.1:4001/notifications/graphql"
    analytics_url: str = "http://127.0.0.1:4001/analytics/graphql"
    integrations_url: str = "http://127.0.0.1:4001/integrations/graphql"
    billing_url: str = "http://127.0.0.1:4001/billing/graphql"

    allow_loopback_origins: bool = False
    """Accept pages served from this machine for every site; for the local stack only."""

    metrics_port: int = 0
    """Where the ingest door and the stream worker answer /metrics, on loopback; 0: nowhere."""

    log_level: str = "INFO"

    @property
    def broker_url(self) -> str:
        """Celery's broker, apart from the streams so that neither's keys meet the other's."""
        return self.celery_broker_url or self.redis_url.rsplit("/", 1)[0] + "/1"

    def subgraph_url(self, name: SubgraphName) -> str:
        """The GraphQL address of a subgraph."""
        return str(getattr(self, f"{name}_url"))


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings; the same object every time."""
    return Settings()
