"""The supervisor as a process: `python -m deploy.local.stack.supervise`, started by `stack.py`.

It writes its progress as JSON lines to its output, and closes the output once all is ready.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from deploy.local.problems import Problem
from deploy.local.stack.environment import Stores, all_settings, inherited
from deploy.local.stack.options import StackOptions
from deploy.local.stack.ports import check_public_port, choose_ports
from deploy.local.stack.processes import PORTS, build_processes
from deploy.local.stack.secrets import load_secrets
from deploy.local.stack.state import SETTINGS_FILE, State
from deploy.local.stack.supervisor import Supervisor


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.stack.supervise", description=__doc__
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gateway", choices=["router", "embedded"])
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--workers", type=int, default=1, help="how many stream workers")
    parser.add_argument("--commands", type=json.loads, default={}, help="JSON; see StackOptions")
    parser.add_argument("--while-stdin", action="store_true", help="stop when the input ends")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    only = tuple(name for name in arguments.only.split(",") if name)
    options = StackOptions(
        arguments.port,
        arguments.gateway,
        arguments.split,
        only,
        arguments.workers,
        arguments.commands,
    )
    try:
        asyncio.run(_run(State(arguments.state), options, while_stdin=arguments.while_stdin))
    except Problem as problem:
        logging.getLogger(__name__).error("%s", problem)
        _send(failed=str(problem), exit_code=problem.exit_code)
        return problem.exit_code
    return 0


async def _run(state: State, options: StackOptions, *, while_stdin: bool) -> None:
    if not state.lock():
        raise Problem(f"A stack already runs on {state.folder}: stop it with `make down`.")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if while_stdin:
        loop.add_reader(sys.stdin.fileno(), stop.set)  # nobody writes to it, so it has ended
    await _supervisor(state, options).run(stop)


def _supervisor(state: State, options: StackOptions) -> Supervisor:
    if not options.only or "envoy" in options.only:
        check_public_port(options.port)
    secrets = load_secrets(state)
    ports = choose_ports(state, PORTS)
    stores = Stores.choose(ports, secrets)
    url, split = options.public_url, options.split
    settings = all_settings(stores, secrets, ports, state=state.folder, public_url=url, split=split)
    state.write(SETTINGS_FILE, settings)
    about = {
        "port": options.port,
        "supervisor": os.getpid(),
        "urls": {
            "public": url,
            **{name: f"http://127.0.0.1:{port}" for name, port in ports.items()},
        },
        "stores": {
            "postgres": stores.owner_database_url,
            "redis": stores.redis_url,
            "clickhouse": stores.clickhouse_url,
        },
    }
    processes = build_processes(state, options, ports, secrets, stores, settings)
    return Supervisor(state, processes, about=about, inherited=inherited(), report=_report)


def _report(text: str) -> None:
    logging.getLogger(__name__).info("%s", text)
    if text == "ready":
        _send(ready=True)
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        _send(progress=text)


def _send(**message: object) -> None:
    with suppress(OSError, ValueError):  # the program that started us may have ended
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
