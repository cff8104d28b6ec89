"""Logs: one line each, on standard error, with the time in UTC."""

import logging
import sys
import time

from subgraphs.kernel.config import settings

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


def configure_logging() -> None:
    """Set up the process's logs; later calls change nothing."""
    root = logging.getLogger()
    if root.handlers:
        return
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(settings().log_level)
    # One line a request is the edge's job; httpx would add one for each inner call.
    logging.getLogger("httpx").setLevel(logging.WARNING)
