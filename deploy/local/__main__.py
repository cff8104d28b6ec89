"""`python -m deploy.local up | down | status | logs | env`: the local stack from a shell.

`status` exits with 0 if all processes are ready, 1 if one is not, and 3 if nothing runs.
"""

import argparse
import os
import shlex
import sys
import time

from deploy.local.problems import Problem
from deploy.local.stack.stack import Stack, default_state

_NOT_READY = 1
_NOT_RUNNING = 3
_INTERRUPTED = 130


def main() -> int:
    options = _parse()
    try:
        return int(options.run(options))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    up = commands.add_parser("up", help="start the stack and leave it running")
    up.add_argument("--only", default="", help="start these processes and their needs, as in a,b")
    up.add_argument("--foreground", action="store_true", help="stay until Ctrl-C")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop the stack").set_defaults(run=_down)
    commands.add_parser("status", help="pids and readiness").set_defaults(run=_status)
    logs = commands.add_parser("logs", help="follow the logs")
    logs.add_argument("name", nargs="?", help="name of one process")
    logs.set_defaults(run=_logs)
    commands.add_parser("env", help="all settings, for a shell").set_defaults(run=_env)
    return parser.parse_args()


def _up(options: argparse.Namespace) -> int:
    started = time.monotonic()
    only = tuple(name for name in options.only.split(",") if name)
    stack = Stack(only=only, progress=lambda text: print(f"  {text}", flush=True))
    if stack.is_running:
        return _already_running(stack)
    print(f"Starting the stack on {stack.state}", flush=True)
    stack.start(stay=not options.foreground)
    print(f"Ready after {time.monotonic() - started:.1f} s: {stack.url}")
    _print_gateway(stack)
    if not options.foreground:
        print("`make status` shows what runs, `make logs` follows the logs, `make down` stops it.")
        return 0
    print("Ctrl-C stops it.", flush=True)
    try:
        return stack.wait()
    finally:
        stack.stop()


def _already_running(stack: Stack) -> int:
    about = stack.about
    unready = [name for name, ready in about["readiness"].items() if not ready]
    if not about["ready"] or unready:
        waiting = ", ".join(unready) or "still starting"
        print(f"A stack runs on {stack.state} but is not ready: {waiting}.")
        return 2
    print(f"Already running: {stack.url}")
    return 0


def _down(options: argparse.Namespace) -> int:
    if not default_state().exists():
        print("Nothing runs here.")
        return 0
    stack = Stack()
    print("Stopped." if stack.stop_running() else f"Nothing runs on {stack.state}.")
    return 0


def _status(options: argparse.Namespace) -> int:
    if not default_state().exists() or not (stack := Stack()).is_running:
        print(f"Nothing runs on {default_state().absolute()}. Start it with `make up`.")
        return _NOT_RUNNING
    about = stack.about
    print(f"{stack.url}   state {stack.state}   supervisor {about['supervisor']}")
    for name, pid in about["processes"].items():
        print(f"  {name:14} {pid:>8}  {'ready' if about['readiness'][name] else 'not ready'}")
    _print_gateway(stack)
    return 0 if about["ready"] and all(about["readiness"].values()) else _NOT_READY


def _print_gateway(stack: Stack) -> None:
    if stack.gateway:
        print(f"Gateway: {stack.gateway}")


def _logs(options: argparse.Namespace) -> int:
    folder = default_state().absolute() / "logs"
    names = sorted(path.stem for path in folder.glob("*.log"))
    if not names:
        raise Problem(f"{folder} has no logs: start the stack with `make up`.", exit_code=1)
    if options.name is not None and options.name not in names:
        raise Problem(f"There is no log named {options.name}; name one of: {', '.join(names)}.")
    files = [str(folder / f"{name}.log") for name in ([options.name] if options.name else names)]
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606


def _env(options: argparse.Namespace) -> int:
    for name, value in Stack().env.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
