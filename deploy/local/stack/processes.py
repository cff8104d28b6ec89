"""The processes of the stack, in one list from the stores to the public port."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace

from deploy.local.engines.envoy import envoy_process
from deploy.local.engines.postgres import postgres_process
from deploy.local.engines.s3 import s3_process
from deploy.local.engines.valkey import valkey_process
from deploy.local.problems import Problem
from deploy.local.stack import readiness
from deploy.local.stack.environment import SUBGRAPHS, Stores, settings_for
from deploy.local.stack.options import Gateway, StackOptions
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
"""The names of all ports, whichever options need them."""

_SHUTDOWN_SECONDS = 3
"""How long a web process waits for open requests and sockets when it stops."""

_KEEP_ALIVE_SECONDS = 75


def build_processes(
    state: State,
    options: StackOptions,
    ports: Mapping[str, int],
    secrets: Secrets,
    stores: Stores,
    settings: Mapping[str, str],
) -> list[Process]:
    """All processes of a stack; a process comes after those it needs.

    Raises:
        Problem: a program is missing, or `only` names an unknown process.
    """

    def metrics_of(name: str) -> dict[str, str]:
        port = ports.get(f"{name}-metrics")
        return {"METRICS_PORT": str(port)} if port else {}

    def web(name: str, app: str, *needs: str, http: str = "httptools") -> Process:
        return _web_process(name, app, ports[name], settings_for(name, settings), needs, http)

    def worker(name: str, command: list[str], *needs: str, ready_line: str) -> Process:
        return Process(
            name=name,
            command=[sys.executable, "-m", *command],
            environment=settings_for(name.partition(".")[0], settings) | metrics_of(name),
            needs=needs,
            ready_line=ready_line,
        )

    stored = ("migrate", "valkey")
    if options.split:
        subgraphs = [web(name, f"subgraphs.{name}.app:app", *stored) for name in SUBGRAPHS]
    else:
        subgraphs = [web("subgraphs", "subgraphs.monolith:app", *stored)]
    web_processes = [
        web("authz", "router.authz.app:app", *stored, http="router.authz.app:Protocol"),
        *subgraphs,
        web("inbox", "subgraphs.integrations.inbox.receiver:app", *stored),
        _module_process(
            "ingest",
            "subgraphs.analytics.ingest",
            ports["ingest"],
            settings_for("ingest", settings) | metrics_of("ingest"),
            stored,
        ),
        _module_process(
            "live",
            "router.subscriptions",
            ports["live"],
            settings_for("live", settings),
            ("valkey",),
        ),
        web("pages", "deploy.local.demo.start_page:app"),
    ]
    everything = [
        postgres_process(state, ports["postgres"], secrets),
        valkey_process(state, ports["valkey"]),
        _clickhouse_process(state, ports["clickhouse"]),
        s3_process(ports["s3"]),
        _migrate_process(settings_for("migrate", settings)),
        *web_processes,
        *(
            worker(name, ["workers.stream.main"], *stored, ready_line="ready")
            for name in _stream_workers(options.workers)
        ),
        worker("celery", [*_CELERY, *_CELERY_WORKER], *stored, ready_line="ready"),
        worker("archiver", [*_CELERY, *_CELERY_ARCHIVER], *stored, "s3", ready_line="ready"),
        worker("beat", _CELERY_BEAT, "valkey", ready_line="ready"),
    ]
    everything = [
        replace(process, command=options.command_for(process.name, process.command))
        for process in everything
    ]
    wanted = _wanted(everything, options.only, stores.replaced)
    if _is_wanted("router", options.only) or _is_wanted("envoy", options.only):
        gateway = _gateway_process(options.gateway, ports, settings_for("router", settings))
        wanted.append(gateway)
    if _is_wanted("envoy", options.only):
        upstreams = tuple(process.name for process in wanted)
        wanted.append(envoy_process(state, options.port, ports, needs=upstreams))
    return wanted


def _stream_workers(count: int) -> list[str]:
    """The names of the stream workers: `stream-worker`, `stream-worker.2`, …"""
    return ["stream-worker", *(f"stream-worker.{number}" for number in range(2, count + 1))]


_CELERY = ["celery", "-A", "workers.app"]
_CELERY_QUIET = ["--without-gossip", "--without-mingle", "-l", "INFO"]
_CELERY_WORKER = ["worker", "-c", "2", "-X", "archive", *_CELERY_QUIET]
_CELERY_ARCHIVER = ["worker", "-P", "solo", "-Q", "archive", *_CELERY_QUIET]
"""Archive tasks take up to a minute and would delay the other tasks, so they have their own worker.
It runs them in its main process (`-P solo`); a child process would take another 40 MB."""

_CELERY_BEAT = ["celery", "-A", "workers.beat", "beat", "--pidfile=", "-l", "INFO"]


def _web_process(
    name: str,
    app: str,
    port: int,
    environment: Mapping[str, str],
    needs: tuple[str, ...],
    http: str,
) -> Process:
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)]
    options = {
        "--http": http,
        "--ws": "websockets-sansio",
        "--ws-per-message-deflate": "false",  # would take some 250 KiB for each connection
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


def _module_process(
    name: str, module: str, port: int, environment: Mapping[str, str], needs: tuple[str, ...]
) -> Process:
    """A service with an HTTP server of its own."""
    return Process(
        name=name,
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
    """Apollo Router if it is found and not ruled out by `wanted`, else the embedded gateway."""
    binary = None if wanted == "embedded" else find_router()
    if wanted == "router" and binary is None:
        raise Problem(
            "Apollo Router is not found: build it with `make router`, or name it in APOLLO_ROUTER."
        )
    port, health = ports["router"], ports["router-health"]
    supergraph = str(ROOT / "schema" / "supergraph.graphql")
    gateway_environment = {
        **environment,
        "ROUTER_PORT": str(port),
        "ROUTER_HEALTH_PORT": str(health),
        "APOLLO_TELEMETRY_DISABLED": "1",
    }
    if binary is None:
        return Process(
            name="gateway",
            command=[str(find_node()), "router/gateway.mjs"],
            environment=gateway_environment | {"NODE_ENV": "production"},
            ready=readiness.http(f"http://127.0.0.1:{port}/healthz"),
        )
    config = str(ROOT / "router" / "router.yaml")
    return Process(
        name="router",
        command=[str(binary), "--config", config, "--supergraph", supergraph],
        environment=gateway_environment,
        ready=readiness.http(f"http://127.0.0.1:{health}/health"),
    )


def _is_wanted(name: str, only: tuple[str, ...]) -> bool:
    return not only or name in only


def _wanted(
    processes: Iterable[Process], only: tuple[str, ...], replaced: frozenset[str]
) -> list[Process]:
    """The processes named in `only` and what they need, without the replaced stores."""
    by_name = {process.name: process for process in processes if process.name not in replaced}
    if not only:
        return list(by_name.values())
    unknown = set(only) - by_name.keys() - replaced - {"router", "envoy"}
    if unknown:
        known = ", ".join([*by_name, "router", "envoy"])
        raise Problem(f"The stack has no {', '.join(sorted(unknown))}; name one of: {known}.")
    found: set[str] = set()
    waiting = [name for name in only if name in by_name]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [n for n in by_name[name].needs if n in by_name and n not in found]
    return [process for process in by_name.values() if process.name in found]
