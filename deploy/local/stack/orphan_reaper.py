"""Ends what a killed supervisor would leave behind.

    python -m deploy.local.stack.orphan_reaper <mark>

It holds the end of a pipe from the supervisor. When that closes, the supervisor has gone, however
it went; whatever still runs with its mark, and in the sessions of those, is ended.
"""

import os
import signal
import sys
from contextlib import suppress

import psutil

MARK = "PROOFGRAPH_STACK"
"""The environment variable by which processes of a stack are known."""

_GRACE_SECONDS = 2.0


def sweep(mark: str) -> list[str]:
    """End all processes of a stack; returns their pids."""
    found = _of_stack(mark)
    for process in found:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    _, stubborn = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_GRACE_SECONDS)
    return [str(process.pid) for process in found]


def _of_stack(mark: str) -> list[psutil.Process]:
    marked = [process for process in psutil.process_iter() if _mark_of(process) == mark]
    sessions = {_session(process) for process in marked} - {None}
    ours = os.getpid()
    members = [process for process in psutil.process_iter() if _session(process) in sessions]
    return [process for process in members if process.pid != ours]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def main() -> None:
    # Signals meant for the supervisor's group are not for us: we come after it.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()  # until the supervisor has gone
    sweep(sys.argv[1])


if __name__ == "__main__":
    main()
