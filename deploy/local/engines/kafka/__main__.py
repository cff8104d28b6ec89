"""`make kafka`: a broker in the foreground, with its data in the state folder; Ctrl-C ends it."""

import os
import signal
import subprocess
import sys

from deploy.local.engines.kafka.broker import prepare
from deploy.local.problems import Problem
from deploy.local.stack.stack import default_state

PORT = 9092


def main() -> int:
    port = int(os.environ.get("KAFKA_PORT") or PORT)
    folder = default_state().absolute() / "kafka"
    try:
        command = prepare(folder, port=port, controller_port=port + 1)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    print(
        f"Kafka runs on port {port}. To use it: STREAM_URL=kafka://127.0.0.1:{port} make up",
        flush=True,
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the broker gets the signal too, and shuts down
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
