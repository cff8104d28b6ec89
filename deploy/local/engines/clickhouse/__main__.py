"""Serves one data folder until a signal ends it."""

import argparse
import sys
from pathlib import Path

import uvicorn

_KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep idle connections, so the server never closes one under a request."""

_GRACE_SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.engines.clickhouse", description=__doc__
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="created if it does not exist")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    # chdb imports pyarrow if it is installed. Only chdb's Arrow API needs it, and it takes 40 MB.
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    from deploy.local.engines.clickhouse.http_server import create_app

    uvicorn.run(
        create_app(options.data),
        host="127.0.0.1",
        port=options.port,
        http="httptools",
        ws="none",
        access_log=False,
        log_level="info",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
