"""The environment of each process: the settings it needs, and no secret it does not need."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from deploy.local.engines import postgres, s3, valkey
from deploy.local.problems import Problem
from deploy.local.stack.secrets import Secrets
from deploy.local.tools import home_folder

SUBGRAPHS = ("users", "sites", "notifications", "analytics", "integrations", "billing")

_OF_S3 = {
    "S3_URL",
    "S3_PUBLIC_URL",
    "S3_BUCKET",
    "S3_REGION",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
}

_INHERITED = (
    "LANG",
    "LC_ALL",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "PATH",
    "TMPDIR",
    "USER",
)
"""The variables of our own environment that every process gets, besides HOME.

Proxies and PG* variables are left out: every address between the processes is on loopback."""


@dataclass(frozen=True)
class Stores:
    """Addresses of the stores. An address that the user sets replaces the local engine.

    Attributes:
        s3: all settings of S3.
        replaced: names of the local engines that are not started.
    """

    owner_database_url: str
    redis_url: str
    clickhouse_url: str
    s3: Mapping[str, str]
    replaced: frozenset[str]

    @classmethod
    def choose(cls, ports: Mapping[str, int], secrets: Secrets) -> "Stores":
        given = {
            name: os.environ[variable]
            for name, variable in (
                ("postgres", "DATABASE_URL"),
                ("valkey", "REDIS_URL"),
                ("clickhouse", "CLICKHOUSE_URL"),
                ("s3", "S3_URL"),
            )
            if os.environ.get(variable)
        }
        database = given.get("postgres") or postgres.owner_url(ports["postgres"], secrets)
        if not urlsplit(database).hostname:
            raise Problem(
                "DATABASE_URL has no host: write it as postgresql://owner:password@host/database."
            )
        return cls(
            owner_database_url=database,
            redis_url=given.get("valkey") or valkey.redis_url(ports["valkey"]),
            clickhouse_url=given.get("clickhouse") or f"http://127.0.0.1:{ports['clickhouse']}/",
            s3=_s3_settings(given.get("s3"), ports["s3"]),
            replaced=frozenset(given),
        )

    def database_url(self, role: str, password: str) -> str:
        """The address of the same database for another role."""
        parts = urlsplit(self.owner_database_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{quote(role)}:{quote(password)}@{host}"))


def _s3_settings(given: str | None, port: int) -> dict[str, str]:
    if given:
        return {name: os.environ[name] for name in _OF_S3 if os.environ.get(name)}
    return {
        "S3_URL": f"http://127.0.0.1:{port}",
        "S3_BUCKET": s3.BUCKET,
        "S3_REGION": s3.REGION,
        "S3_ACCESS_KEY": s3.CREDENTIAL,
        "S3_SECRET_KEY": s3.CREDENTIAL,
    }


def all_settings(
    stores: Stores,
    secrets: Secrets,
    ports: Mapping[str, int],
    *,
    state: Path,
    public_url: str,
    split: bool,
) -> dict[str, str]:
    """All settings, by the names that `kernel/config.py` reads."""
    subgraph_urls = {
        f"{name.upper()}_URL": f"http://127.0.0.1:{ports[name if split else 'subgraphs']}"
        f"/{name}/graphql"
        for name in SUBGRAPHS
    }
    return {
        "PUBLIC_URL": public_url,
        "PROOFGRAPH_STATE": str(state),
        "DATABASE_URL": stores.database_url("proofgraph_app", secrets.app_db_password),
        "WORKER_DATABASE_URL": stores.database_url("proofgraph_worker", secrets.worker_db_password),
        "OWNER_DATABASE_URL": stores.owner_database_url,
        **({} if "postgres" in stores.replaced else _LOCAL_POSTGRES),
        "APP_DB_PASSWORD": secrets.app_db_password,
        "WORKER_DB_PASSWORD": secrets.worker_db_password,
        "REDIS_URL": stores.redis_url,
        "STREAM_URL": os.environ.get("STREAM_URL", ""),
        "CLICKHOUSE_URL": stores.clickhouse_url,
        **{name: os.environ[name] for name in _OF_CLICKHOUSE if os.environ.get(name)},
        **stores.s3,
        "VIEWER_SIGNING_KEY": secrets.viewer_signing_key,
        "VIEWER_VERIFY_KEY": secrets.viewer_verify_key,
        "SESSION_SIGNING_KEY": secrets.session_signing_key,
        "SESSION_VERIFY_KEY": secrets.session_verify_key,
        "PII_KEY": secrets.pii_key,
        "SECRETS_KEY": secrets.secrets_key,
        "ALLOW_LOOPBACK_ORIGINS": "1",
        "AUTHZ_URL": f"http://127.0.0.1:{ports['authz']}",
        "ROUTER_URL": f"http://127.0.0.1:{ports['router']}/",
        **subgraph_urls,
    }


_LOCAL_POSTGRES = {"PGSSLMODE": "disable"}
"""The local server has no TLS. With any other mode asyncpg reads certificates in HOME, and fails if
HOME cannot be searched."""

_OF_CLICKHOUSE = {"CLICKHOUSE_CLUSTER", "RAW_RETENTION_DAYS"}
"""Settings that are passed on unchanged; see `kernel/config.py`."""

_OF_EVERY_SUBGRAPH = {"DATABASE_URL", "REDIS_URL", "VIEWER_VERIFY_KEY", "PUBLIC_URL"}
_OF_ONE_SUBGRAPH = {
    "users": {"SESSION_SIGNING_KEY", "SESSION_VERIFY_KEY", "PII_KEY"},
    "sites": set[str](),
    "notifications": set[str](),
    # The S3 key signs the links to exports.
    "analytics": {"CLICKHOUSE_URL"} | _OF_S3,
    "integrations": {"SECRETS_KEY"},
    "billing": set[str](),
}
_URLS_OF_SUBGRAPHS = {f"{name.upper()}_URL" for name in SUBGRAPHS}

SETTINGS_OF: dict[str, set[str]] = {
    "migrate": {"OWNER_DATABASE_URL", "APP_DB_PASSWORD", "WORKER_DB_PASSWORD", "CLICKHOUSE_URL"}
    | _OF_CLICKHOUSE,
    "authz": {
        "WORKER_DATABASE_URL",
        "REDIS_URL",
        "VIEWER_SIGNING_KEY",
        "VIEWER_VERIFY_KEY",
        "SESSION_VERIFY_KEY",
        "ALLOW_LOOPBACK_ORIGINS",
    },
    "subgraphs": _OF_EVERY_SUBGRAPH.union(*_OF_ONE_SUBGRAPH.values()),
    **{name: _OF_EVERY_SUBGRAPH | _OF_ONE_SUBGRAPH[name] for name in SUBGRAPHS},
    "router": _URLS_OF_SUBGRAPHS,
    "gateway": _URLS_OF_SUBGRAPHS,
    "live": {"AUTHZ_URL", "REDIS_URL", "ROUTER_URL", "VIEWER_VERIFY_KEY"} | _URLS_OF_SUBGRAPHS,
    "inbox": {"WORKER_DATABASE_URL", "REDIS_URL", "STREAM_URL", "SECRETS_KEY", "PUBLIC_URL"},
    "ingest": {"WORKER_DATABASE_URL", "REDIS_URL", "STREAM_URL", "ALLOW_LOOPBACK_ORIGINS"},
    "pages": {"PROOFGRAPH_STATE"},
    "stream-worker": {"WORKER_DATABASE_URL", "REDIS_URL", "STREAM_URL", "CLICKHOUSE_URL"}
    | _OF_CLICKHOUSE,
    "celery": {"WORKER_DATABASE_URL", "REDIS_URL", "STREAM_URL", "CLICKHOUSE_URL"} | _OF_CLICKHOUSE,
    "beat": {"REDIS_URL"},
    "archiver": {"WORKER_DATABASE_URL", "REDIS_URL"} | _OF_S3,
}


def settings_for(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that a process needs."""
    needed = SETTINGS_OF[name]
    if any(setting.endswith("DATABASE_URL") for setting in needed):
        needed = needed | _LOCAL_POSTGRES.keys()
    return {key: value for key, value in settings.items() if key in needed}


def inherited() -> dict[str, str]:
    """The variables that every process gets."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        "LOG_FORMAT": "console",
        "PATH": os.defpath,
        **kept,
        "HOME": str(home_folder()),
        "MALLOC_ARENA_MAX": "2",  # glibc's default of 8 a core keeps freed memory in each arena
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
    }
