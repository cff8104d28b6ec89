"""Ends the processes of a stack whose supervisor was killed.

    python -m deploy.local.stack.orphan_reaper <state folder>

The reaper reads from a pipe that the supervisor holds open. The pipe closes when the supervisor
dies, however it dies. The reaper then ends every process that has the state folder in its
environment, and every process in the sessions of those.
"""

import os
import signal
import sys
from contextlib import suppress

import psutil

STACK_VARIABLE = "PROOFGRAPH_STACK"
"""The environment variable that holds the state folder in every process of a stack."""

_GRACE_SECONDS = 2.0


def end_processes(folder: str) -> list[str]:
    """End all processes of the stack on a state folder; returns their pids."""
    found = _processes_of(folder)
    for process in found:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    _, running = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in running:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(running, timeout=_GRACE_SECONDS)
    return [str(process.pid) for process in found]


def _processes_of(folder: str) -> list[psutil.Process]:
    marked = [process for process in psutil.process_iter() if _folder_of(process) == folder]
    sessions = {_session(process) for process in marked} - {None}
    ours = os.getpid()
    members = [process for process in psutil.process_iter() if _session(process) in sessions]
    return [process for process in members if process.pid != ours]


def _folder_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(STACK_VARIABLE)
    except (psutil.Error, OSError):
        return None


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def main() -> None:
    # A signal to the supervisor's process group must not end the reaper before the supervisor.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()  # returns when the supervisor has died
    end_processes(sys.argv[1])


if __name__ == "__main__":
    main()
