"""The stack with real engines, from a shell and from Python."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis import Redis

from deploy.local.problems import Problem
from deploy.local.stack.environment import SETTINGS_OF
from deploy.local.stack.secrets import load_secrets
from deploy.local.stack.stack import Stack
from deploy.local.stack.state import ROOT, State
from tests.deploy.conftest import running_on
from tests.fixtures.deadline import eventually


def shell(state: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m deploy.local` without addresses of other stores."""
    ours = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", *arguments],
        cwd=ROOT,
        env=ours | {"PROOFGRAPH_STATE": str(state)} | environment,
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture
def no_stores_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "CLICKHOUSE_URL", "S3_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which this test listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_up_twice_status_and_down(state: State) -> None:
    first = shell(state.folder, "up", "--only", "valkey")
    pid = state.read("stack.json")["processes"]["valkey"]
    second = shell(state.folder, "up", "--only", "valkey")
    status = shell(state.folder, "status")
    settings = shell(state.folder, "env").stdout.splitlines()
    down = shell(state.folder, "down")
    again = shell(state.folder, "down")
    stopped = shell(state.folder, "status")

    assert (first.returncode, second.returncode, status.returncode) == (0, 0, 0)
    assert second.stdout == "Already running: http://localhost:8080\n"
    assert f"  valkey         {pid:>8}  ready\n" in status.stdout
    assert f"export PII_KEY={load_secrets(state).pii_key}" in settings
    assert (down.returncode, down.stdout) == (0, "Stopped.\n")
    assert (stopped.returncode, stopped.stdout) == (
        3,
        f"Nothing runs on {state.folder}. Start it with `make up`.\n",
    )
    assert (again.returncode, again.stdout) == (0, f"Nothing runs on {state.folder}.\n")
    assert running_on(state) == []
    assert not psutil.pid_exists(pid)


def test_a_taken_port_is_reported_with_its_process(state: State, port: int) -> None:
    done = shell(state.folder, "up", PROOFGRAPH_PORT=str(port))

    holder = psutil.Process().name()
    assert done.returncode == 2
    assert done.stderr == (
        f"Port {port} is taken by {holder} (pid {os.getpid()}):"
        f" stop it, or choose another port, as in PROOFGRAPH_PORT={port + 1}.\n"
    )
    assert running_on(state) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = shell(tmp_path / "file" / "state", "up")

    assert done.returncode == 2
    assert done.stderr == (
        f"{tmp_path}/file/state cannot be written (Not a directory):"
        " change its owner or mode, or name another folder in PROOFGRAPH_STATE.\n"
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PROOFGRAPH_GATEWAY": "embedded", "PATH": "/nowhere"}, "node is not on PATH: install"),
        ({"APOLLO_ROUTER": "/nowhere/router"}, "APOLLO_ROUTER is /nowhere/router, which is not"),
        ({"PROOFGRAPH_GATEWAY": "both"}, "PROOFGRAPH_GATEWAY is both: set router or"),
        ({"PROOFGRAPH_PORT": "http"}, "PROOFGRAPH_PORT is http: set a number"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL has no host: write it as postgresql://"),
    ],
)
def test_a_wrong_setting_or_machine_is_reported_in_one_line(
    state: State, environment: dict[str, str], message: str
) -> None:
    done = shell(state.folder, "up", "--only", "router,valkey", **environment)

    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert running_on(state) == []


def test_two_stacks_side_by_side(no_stores_given: None, tmp_path: Path) -> None:
    with (
        Stack(state=tmp_path / "one", only=["valkey"]) as one,
        Stack(state=tmp_path / "two", only=["valkey"]) as two,
    ):
        Redis.from_url(one.stores["redis"]).set("whose", "one")
        assert Redis.from_url(two.stores["redis"]).get("whose") is None
        assert one.pids.keys() == two.pids.keys() == {"valkey"}
        assert one.pids != two.pids


def test_a_given_store_is_not_started(
    no_stores_given: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stack(state=tmp_path / "one", only=["valkey"]) as one:
        monkeypatch.setenv("REDIS_URL", one.stores["redis"])
        with Stack(state=tmp_path / "two", only=["valkey", "clickhouse"]) as two:
            assert list(two.pids) == ["clickhouse"]
            assert two.env["REDIS_URL"] == one.stores["redis"]


async def test_killed_stores_restart_with_their_data(no_stores_given: None, tmp_path: Path) -> None:
    seen: list[str] = []
    stack = Stack(state=tmp_path / "state", only=["postgres", "valkey"], progress=seen.append)
    async with stack:
        before = stack.pids
        connection = await asyncpg.connect(stack.stores["postgres"])
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        role = await connection.fetchval(
            "SELECT (rolname, rolsuper, rolbypassrls) FROM pg_roles WHERE rolname = current_user"
        )
        Redis.from_url(stack.stores["redis"]).set("answer", 42)

        for pid in before.values():
            os.kill(pid, 9)

        async def answers() -> tuple[object, object]:
            again = await asyncpg.connect(stack.stores["postgres"])
            answer = await again.fetchval("SELECT answer FROM kept")
            await again.close()
            return answer, Redis.from_url(stack.stores["redis"]).get("answer")

        assert await eventually(answers, bool) == (42, b"42")
        assert before.keys() == stack.pids.keys()
        assert set(before.values()).isdisjoint(stack.pids.values())
        connection.terminate()

    assert sorted(line.split()[0] for line in seen) == ["postgres", "valkey"]
    assert role == ("proofgraph_owner", False, False)
    assert stat.S_IMODE((tmp_path / "state" / "postgres").stat().st_mode) == 0o700
    assert running_on(State(tmp_path / "state")) == []


async def test_the_stack_ends_with_the_program_that_started_it(state: State) -> None:
    code = f"""
import sys, time
from pathlib import Path
from deploy.local.stack.stack import Stack
with Stack(state=Path({str(state.folder)!r}), only=["valkey"]):
    time.sleep(600)
"""
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)

    async def left() -> list[int | None]:
        return [*running_on(state), *([state.holder()] if state.holder() else [])]

    async def written() -> bool:
        return bool((state.read("stack.json") or {}).get("ready"))

    await eventually(written, bool, seconds=30)
    program.kill()
    await program.wait()

    await eventually(left, lambda pids: pids == [], seconds=10)


def test_secrets_are_generated_once_and_readable_by_us_alone(state: State) -> None:
    first, second = load_secrets(state), load_secrets(State(state.folder))

    assert first == second
    assert len({*vars(first).values()}) == len(vars(first))
    assert stat.S_IMODE((state.folder / "secrets.json").stat().st_mode) == 0o600


def test_no_process_gets_a_secret_it_does_not_need() -> None:
    receivers: dict[str, list[str]] = {}
    for process, names in SETTINGS_OF.items():
        for name in names:
            receivers.setdefault(name, []).append(process)

    assert sorted(receivers["VIEWER_SIGNING_KEY"]) == ["authz"]
    assert sorted(receivers["SESSION_SIGNING_KEY"]) == ["subgraphs", "users"]
    assert sorted(receivers["PII_KEY"]) == ["subgraphs", "users"]
    assert sorted(receivers["SECRETS_KEY"]) == ["inbox", "integrations", "subgraphs"]
    assert sorted(receivers["S3_SECRET_KEY"]) == ["analytics", "archiver", "subgraphs"]
    assert sorted(receivers["OWNER_DATABASE_URL"]) == ["migrate"]


def test_a_process_inherits_nothing_else(
    no_stores_given: None, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPERATORS_TOKEN", "HTTPS_PROXY", "http_proxy", "ALL_PROXY", "PGSSLMODE"):
        monkeypatch.setenv(name, "secret")

    with Stack(state=state.folder, only=["clickhouse"]) as stack:
        environment = psutil.Process(stack.pids["clickhouse"]).environ()

    allowed = {"HOME", "LANG", "LC_ALL", "LOG_LEVEL", "PATH", "TMPDIR", "USER"}
    ours = {"LOG_FORMAT", "MALLOC_ARENA_MAX", "PYTHONUNBUFFERED", "TZ", "PROOFGRAPH_STACK"}
    assert ours <= environment.keys() <= allowed | ours
    settings = json.loads((stack.state / "settings.json").read_text())
    assert settings["PII_KEY"] not in str(environment)


def test_an_unknown_process_is_reported_with_the_known_ones(
    no_stores_given: None, state: State
) -> None:
    with pytest.raises(Problem, match="The stack has no kafka; name one of: postgres,"):
        Stack(state=state.folder, only=["kafka"]).start()
