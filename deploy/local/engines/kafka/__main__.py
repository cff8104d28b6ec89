"""`make kafka`: a broker in the foreground, its data in the state folder; Ctrl-C ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.local.engines.kafka.broker import prepare
from deploy.local.problems import Problem

PORT = 9092


def main() -> int:
    port = int(os.environ.get("KAFKA_PORT") or PORT)
    folder = Path(os.environ.get("PROOFGRAPH_STATE") or ".proofgraph").absolute() / "kafka"
    try:
        command = prepare(folder, port=port, controller_port=port + 1)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    print(
        f"Kafka on port {port}; beside it: STREAM_URL=kafka://127.0.0.1:{port} make up", flush=True
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the broker gets it too, and ends in good order
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
