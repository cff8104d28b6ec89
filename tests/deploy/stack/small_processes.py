"""Small programs to run as the processes of a stack, and a supervisor over them.

    python -m tests.deploy.stack.small_processes <state folder>

supervises one process that has a child.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from deploy.local.stack.process import Process
from deploy.local.stack.state import State
from deploy.local.stack.supervisor import Supervisor

FOREVER = "import time\nprint('ready', flush=True)\ntime.sleep(600)"

WITH_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
{FOREVER}
"""

IGNORES_SIGTERM = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{FOREVER}
"""


def python(name: str, code: str, **fields: Any) -> Process:
    """A process that runs Python code and is ready once it prints "ready"."""
    command = [sys.executable, "-c", code]
    return Process(name=name, command=command, **{"ready_line": "ready", **fields})


def supervisor(state: State, *processes: Process, reports: list[str] | None = None) -> Supervisor:
    collected = [] if reports is None else reports
    inherited = {"PATH": os.environ["PATH"]}
    return Supervisor(state, processes, about={}, inherited=inherited, report=collected.append)


async def main() -> None:
    state = State(Path(sys.argv[1]))
    await supervisor(state, python("parent", WITH_CHILD)).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main())
