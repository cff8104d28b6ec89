"""Starts, stops and describes the local stack from Python.

    with Stack(state=folder, port=8090, progress=print) as stack:
        print(stack.url, stack.pids)

The stack ends with the program that started it, however that program ends, unless `stay` is given.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any, Self

import psutil

from deploy.local.problems import Problem
from deploy.local.stack import orphan_reaper
from deploy.local.stack.options import Gateway
from deploy.local.stack.state import ROOT, SETTINGS_FILE, STACK_FILE, State

_STOP_SECONDS = 40
"""After this time the supervisor and all processes are killed."""


class Stack:
    """The stack on one state folder, as a context manager or an async one.

    Args:
        state: the state folder; default: PROOFGRAPH_STATE or `.proofgraph` in the checkout.
        port: the public port; default: PROOFGRAPH_PORT or 8080.
        gateway: default: PROOFGRAPH_GATEWAY, or Apollo Router if it is found.
        split: run one process for each subgraph; default: whether SPLIT is 1.
        only: run these processes and what they need; empty: all.
        workers: number of stream workers; default: WORKERS or 1.
        commands: replacement commands by process name; see `StackOptions.command_for`.
        progress: called with a line of text for each process that becomes ready.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        port: int | None = None,
        gateway: Gateway | None = None,
        split: bool | None = None,
        only: Sequence[str] = (),
        workers: int | None = None,
        commands: Mapping[str, Sequence[str]] | None = None,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._state = State(state or default_state())
        self._port = port or _default_port()
        self._gateway = gateway or _default_gateway()
        self._split = os.environ.get("SPLIT") == "1" if split is None else split
        self._only = tuple(only)
        self._workers = workers or _default_workers()
        self._commands = commands or {}
        self._progress = progress
        self._supervisor: subprocess.Popen[str] | None = None

    @property
    def state(self) -> Path:
        return self._state.folder

    @property
    def about(self) -> dict[str, Any]:
        """The current content of the stack file.

        Raises:
            Problem: no stack runs on the state folder.
        """
        about: dict[str, Any] | None = self._state.read(STACK_FILE)
        if about is None:
            raise Problem(f"Nothing runs on {self.state}: start it with `make up`.")
        return about

    @property
    def url(self) -> str:
        """The public address."""
        return str(self.about["urls"]["public"])

    @property
    def stores(self) -> dict[str, str]:
        """Addresses of `postgres` (as the owner of the tables), `redis` and `clickhouse`."""
        return dict(self.about["stores"])

    @property
    def pids(self) -> dict[str, int]:
        """The current pid of each process; a restart changes it."""
        return dict(self.about["processes"])

    @property
    def gateway(self) -> str:
        """Which gateway runs and how to get the other, in a sentence; empty if none runs."""
        if "router" in self.pids:
            return (
                "Apollo Router. For the embedded gateway (Node.js):"
                " PROOFGRAPH_GATEWAY=embedded make up"
            )
        if "gateway" in self.pids:
            other = "For Apollo Router: `make router` builds it once, or name it in APOLLO_ROUTER."
            if os.environ.get("PROOFGRAPH_GATEWAY") == "embedded":
                other = "For Apollo Router: unset PROOFGRAPH_GATEWAY."
            return f"embedded (Node.js). {other}"
        return ""

    @property
    def env(self) -> dict[str, str]:
        """All settings of the last start, by the names that `kernel/config.py` reads."""
        settings: dict[str, str] | None = self._state.read(SETTINGS_FILE)
        if settings is None:
            raise Problem(f"Nothing has run on {self.state} yet: start it with `make up`.")
        return settings

    @property
    def is_running(self) -> bool:
        return self._state.holder() is not None

    @property
    def is_ours(self) -> bool:
        """Whether this object started the stack."""
        return self._supervisor is not None

    def start(self, *, stay: bool = False) -> None:
        """Start all processes and wait until they are ready; does nothing if the stack runs.

        Args:
            stay: keep the stack running when this program ends.

        Raises:
            Problem: a process did not start; the others are stopped.
        """
        if self.is_running:
            if not (self._state.read(STACK_FILE) or {}).get("ready"):
                raise Problem(f"A stack on {self.state} is starting or stopping: try again later.")
            return
        with self._state.log("supervisor").open("a") as log:
            supervisor = subprocess.Popen(
                self._command(stay=stay),
                cwd=ROOT,
                stdin=subprocess.DEVNULL if stay else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._supervisor = supervisor
        try:
            with supervisor.stdout or nullcontext() as output:
                self._read_progress(output)
        except BaseException:  # an interrupt too must leave nothing running
            self.stop()
            raise

    def wait(self) -> int:
        """Wait until the supervisor ends; returns its exit code."""
        return self._supervisor.wait() if self._supervisor is not None else 0

    def stop(self) -> None:
        """Stop the stack if this object started it; returns when all processes have ended."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        supervisor.terminate()
        try:
            supervisor.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
            orphan_reaper.end_processes(str(self.state))
        if supervisor.stdin is not None:
            supervisor.stdin.close()

    def stop_running(self) -> bool:
        """Stop the stack on the state folder, whoever started it; False if nothing ran."""
        pid = self._state.holder()
        if pid is not None:
            with suppress(psutil.NoSuchProcess):
                supervisor = psutil.Process(pid)
                supervisor.terminate()
                try:
                    supervisor.wait(_STOP_SECONDS)
                except psutil.TimeoutExpired:
                    supervisor.kill()
        orphans = orphan_reaper.end_processes(str(self.state))
        self._state.delete(STACK_FILE)
        return pid is not None or bool(orphans)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _command(self, *, stay: bool) -> list[str]:
        command = [sys.executable, "-m", "deploy.local.stack.supervise"]
        command += ["--state", str(self.state), "--port", str(self._port)]
        command += ["--gateway", self._gateway] if self._gateway else []
        command += ["--split"] if self._split else []
        command += ["--only", ",".join(self._only)] if self._only else []
        command += ["--workers", str(self._workers)]
        command += ["--commands", json.dumps(self._commands)] if self._commands else []
        return command if stay else [*command, "--while-stdin"]

    def _read_progress(self, output: IO[str] | None) -> None:
        for line in output or ():
            message = json.loads(line)
            if "failed" in message:
                raise Problem(message["failed"], exit_code=message["exit_code"])
            if "ready" in message:
                return
            self._progress(message["progress"])
        log = self._state.logs / "supervisor.log"
        raise Problem(f"The supervisor ended: read {log} for the reason.", exit_code=1)


def default_state() -> Path:
    """The state folder that is named by PROOFGRAPH_STATE, or `.proofgraph` in the checkout."""
    return Path(os.environ.get("PROOFGRAPH_STATE") or ROOT / ".proofgraph")


def _default_port() -> int:
    given = os.environ.get("PROOFGRAPH_PORT") or "8080"
    if not given.isdigit() or not 0 < int(given) < 65536:
        raise Problem(f"PROOFGRAPH_PORT is {given}: set a number from 1 to 65535.")
    return int(given)


def _default_workers() -> int:
    given = os.environ.get("WORKERS") or "1"
    if not given.isdigit() or not 0 < int(given) < 100:
        raise Problem(f"WORKERS is {given}: set a number from 1 to 99.")
    return int(given)


def _default_gateway() -> Gateway | None:
    match os.environ.get("PROOFGRAPH_GATEWAY"):
        case "router":
            return "router"
        case "embedded":
            return "embedded"
        case None | "":
            return None
        case other:
            raise Problem(f"PROOFGRAPH_GATEWAY is {other}: set router or embedded, or unset it.")
