"""`python -m deploy.local up | down | status | logs | env`: the local stack from a shell."""

import argparse
import os
import shlex
import sys
import time

from deploy.local.problems import Problem
from deploy.local.stack.stack import Stack


def main() -> int:
    options = _parse()
    try:
        return int(options.run(options))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    up = commands.add_parser("up", help="start the stack and leave it running")
    up.add_argument("--only", default="", help="these processes and what they need, as in a,b")
    up.add_argument("--foreground", action="store_true", help="stay until Ctrl-C")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop it").set_defaults(run=_down)
    commands.add_parser("status", help="what runs").set_defaults(run=_status)
    logs = commands.add_parser("logs", help="follow the logs")
    logs.add_argument("name", nargs="?", help="of one process")
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
    if not options.foreground:
        print("`make status` tells what runs, `make logs` what it says, `make down` stops it.")
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
        print(f"A stack runs on {stack.state}, but not ready: {', '.join(unready) or 'starting'}.")
        return 2
    print(f"Already running: {stack.url}")
    return 0


def _down(options: argparse.Namespace) -> int:
    stack = Stack()
    print("Stopped." if stack.stop_running() else f"Nothing runs on {stack.state}.")
    return 0


def _status(options: argparse.Namespace) -> int:
    stack = Stack()
    if not stack.is_running:
        print(f"Nothing runs on {stack.state}.")
        return 0
    about = stack.about
    print(f"{stack.url}   state {stack.state}   supervisor {about['supervisor']}")
    for name, pid in about["processes"].items():
        print(f"  {name:14} {pid:>8}  {'ready' if about['readiness'][name] else 'not ready'}")
    return 0 if about["ready"] and all(about["readiness"].values()) else 1


def _logs(options: argparse.Namespace) -> int:
    folder = Stack().state / "logs"
    names = sorted(path.stem for path in folder.glob("*.log"))
    if options.name is not None and options.name not in names:
        raise Problem(f"There is no log of {options.name}; there are: {', '.join(names)}.")
    files = [str(folder / f"{name}.log") for name in ([options.name] if options.name else names)]
    os.execvp("tail", ["tail", "-n", "20", "-F", *files])  # noqa: S606


def _env(options: argparse.Namespace) -> int:
    for name, value in Stack().env.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
