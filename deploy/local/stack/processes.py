"""The processes of the stack, as a list that can be read from top to bottom."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace

from deploy.local.engines.envoy import envoy_process
from deploy.local.engines.postgres import postgres_process
from deploy.local.engines.s3 import s3_process
from deploy.local.engines.valkey import valkey_process
from deploy.local.problems import Problem
from deploy.local.stack import readiness
from deploy.local.stack.environment import SUBGRAPHS, Stores, environment_of
from deploy.local.stack.options import Arrangement, Gateway
from deploy.local.stack.process import Process
from deploy.local.stack.secrets import Secrets
from deploy.local.stack.state import ROOT, State
from deploy.local.tools import find_node, find_router

PORTS = (
    "postgres",
    "valkey",
    "clickhouse",
    "s3",
    "authz",
    "subgraphs",
    *SUBGRAPHS,
    "inbox",
    "ingest",
    "ingest-metrics",
    "stream-worker-metrics",
    "live",
    "router",
    "router-health",
    "pages",
)
"""Who needs a port, be it in one of the arrangements alone."""

_SHUTDOWN_SECONDS = 3
"""How long a web process waits for its answers in hand, and for sockets to be closed."""

_KEEP_ALIVE_SECONDS = 75


def build_processes(
    state: State,
    arrangement: Arrangement,
    ports: Mapping[str, int],
    secrets: Secrets,
    stores: Stores,
    settings: Mapping[str, str],
) -> list[Process]:
    """All processes of an arrangement, those that others need before those.

    Raises:
        Problem: a program that is wanted is not there.
    """

    def metrics_of(name: str) -> dict[str, str]:
        port = ports.get(f"{name}-metrics")
        return {"METRICS_PORT": str(port)} if port else {}

    def web(name: str, app: str, *needs: str) -> Process:
        return _web_process(name, app, ports[name], environment_of(name, settings), needs)

    def worker(name: str, command: list[str], *needs: str, ready_line: str) -> Process:
        return Process(
            name=name,
            command=[sys.executable, "-m", *command],
            environment=environment_of(name.partition(".")[0], settings) | metrics_of(name),
            needs=needs,
            ready_line=ready_line,
        )

    stored = ("migrate", "valkey")
    if arrangement.split:
        subgraphs = [web(name, f"subgraphs.{name}.app:app", *stored) for name in SUBGRAPHS]
    else:
        subgraphs = [web("subgraphs", "subgraphs.monolith:app", *stored)]
    doors = [
        web("authz", "router.authz.app:app", *stored),
        *subgraphs,
        web("inbox", "subgraphs.integrations.inbox.receiver:app", *stored),
        _ingest_process(
            ports["ingest"], environment_of("ingest", settings) | metrics_of("ingest"), stored
        ),
        web("live", "router.subscriptions.app:app", "valkey"),
        web("pages", "deploy.local.demo.start_page:app"),
    ]
    everything = [
        postgres_process(state, ports["postgres"], secrets),
        valkey_process(state, ports["valkey"]),
        _clickhouse_process(state, ports["clickhouse"]),
        s3_process(ports["s3"]),
        _migrate_process(environment_of("migrate", settings)),
        *doors,
        *(
            worker(name, ["workers.stream.main"], *stored, ready_line="ready")
            for name in _stream_workers(arrangement.workers)
        ),
        worker("celery", [*_CELERY, *_CELERY_WORKER], *stored, ready_line="ready"),
        worker("archiver", [*_CELERY, *_CELERY_ARCHIVER], *stored, "s3", ready_line="ready"),
        worker("beat", [*_CELERY, *_CELERY_BEAT], "valkey", ready_line="ready"),
    ]
    everything = [
        replace(process, command=arrangement.instead(process.name, process.command))
        for process in everything
    ]
    wanted = _wanted(everything, arrangement.only, stores.replaced)
    if _is_wanted("router", arrangement.only) or _is_wanted("envoy", arrangement.only):
        gateway = _gateway_process(arrangement.gateway, ports, environment_of("router", settings))
        wanted.append(gateway)
    if _is_wanted("envoy", arrangement.only):
        behind = tuple(process.name for process in wanted)
        wanted.append(envoy_process(state, arrangement.port, ports, needs=behind))
    return wanted


def _stream_workers(count: int) -> list[str]:
    """The first has the plain name, so that who looks for the only one finds it."""
    return ["stream-worker", *(f"stream-worker.{number}" for number in range(2, count + 1))]


_CELERY = ["celery", "-A", "workers.app"]
_CELERY_BEAT = ["beat", "--pidfile=", "-l", "INFO"]
_CELERY_QUIET = ["--without-gossip", "--without-mingle", "-l", "INFO"]
_CELERY_WORKER = ["worker", "-c", "2", "-X", "archive", *_CELERY_QUIET]
_CELERY_ARCHIVER = ["worker", "-c", "1", "-Q", "archive", *_CELERY_QUIET]
"""What takes a minute keeps the others' tasks waiting, so it has a process of its own."""


def _web_process(
    name: str, app: str, port: int, environment: Mapping[str, str], needs: tuple[str, ...]
) -> Process:
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)]
    options = {
        "--ws": "websockets-sansio",
        "--ws-per-message-deflate": "false",  # some 250 KiB a connection
        "--timeout-keep-alive": str(_KEEP_ALIVE_SECONDS),
        "--timeout-graceful-shutdown": str(_SHUTDOWN_SECONDS),
    }
    arguments = [part for option in options.items() for part in option]
    return Process(
        name=name,
        command=[*command, *arguments, "--no-access-log"],
        environment=environment,
        ready=readiness.http(f"http://127.0.0.1:{port}/readyz"),
        needs=needs,
    )


def _ingest_process(port: int, environment: Mapping[str, str], needs: tuple[str, ...]) -> Process:
    module = "subgraphs.analytics.ingest"
    return Process(
        name="ingest",
        command=[sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port)],
        environment=environment,
        ready=readiness.http(f"http://127.0.0.1:{port}/readyz"),
        needs=needs,
    )


def _clickhouse_process(state: State, port: int) -> Process:
    folder = str(state.folder / "clickhouse")
    module = "deploy.local.engines.clickhouse"
    return Process(
        name="clickhouse",
        command=[sys.executable, "-m", module, "--port", str(port), "--data", folder],
        ready=readiness.http(f"http://127.0.0.1:{port}/ping"),
    )


def _migrate_process(environment: Mapping[str, str]) -> Process:
    return Process(
        name="migrate",
        command=[sys.executable, "-m", "deploy.migrations", "upgrade"],
        environment=environment,
        needs=("postgres", "clickhouse"),
        once=True,
    )


def _gateway_process(
    wanted: Gateway | None, ports: Mapping[str, int], environment: Mapping[str, str]
) -> Process:
    """Apollo Router where there is one, unless the embedded gateway is asked for."""
    binary = None if wanted == "embedded" else find_router()
    if wanted == "router" and binary is None:
        raise Problem("There is no Apollo Router: run `make router`, or name one in APOLLO_ROUTER.")
    port, health = ports["router"], ports["router-health"]
    supergraph = str(ROOT / "schema" / "supergraph.graphql")
    told = {
        **environment,
        "ROUTER_PORT": str(port),
        "ROUTER_HEALTH_PORT": str(health),
    }
    if binary is None:
        return Process(
            name="gateway",
            command=[str(find_node()), "router/gateway.mjs"],
            environment=told | {"NODE_ENV": "production"},
            ready=readiness.http(f"http://127.0.0.1:{port}/healthz"),
        )
    config = str(ROOT / "router" / "router.yaml")
    return Process(
        name="router",
        command=[str(binary), "--config", config, "--supergraph", supergraph],
        environment=told | {"APOLLO_TELEMETRY_DISABLED": "1"},
        ready=readiness.http(f"http://127.0.0.1:{health}/health"),
    )


def _is_wanted(name: str, only: tuple[str, ...]) -> bool:
    return not only or name in only


def _wanted(
    processes: Iterable[Process], only: tuple[str, ...], replaced: frozenset[str]
) -> list[Process]:
    """Those named and what they need, less the stores that somebody else runs."""
    by_name = {process.name: process for process in processes if process.name not in replaced}
    if not only:
        return list(by_name.values())
    unknown = set(only) - by_name.keys() - replaced - {"router", "envoy"}
    if unknown:
        known = ", ".join([*by_name, "router", "envoy"])
        raise Problem(f"There is no {', '.join(sorted(unknown))} in the stack; there are: {known}.")
    found: set[str] = set()
    waiting = [name for name in only if name in by_name]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [n for n in by_name[name].needs if n in by_name and n not in found]
    return [process for process in by_name.values() if process.name in found]
