"""Starts the subscription gateway.

python -m router.subscriptions --host 127.0.0.1 --port 4020
"""

import argparse
import gc
import resource

import uvloop

from router.subscriptions.server import serve
from subgraphs.kernel.logging import configure_logging

_GC_THRESHOLD = 50_000
"""Objects. Open connections are not garbage, and by Python's default of 700 the collector would
walk them again and again."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    configure_logging()
    gc.freeze()  # loaded modules stay: the collector need not walk them again
    gc.set_threshold(_GC_THRESHOLD)
    _raise_open_file_limit()
    uvloop.run(serve(options.host, options.port))


def _raise_open_file_limit() -> None:
    """Allows as many open files as possible: each client holds one, and a shell's limit is often
    1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
