"""Logs are one JSON object a line, and tracebacks show no local variables."""

import json
import subprocess
import sys

PROGRAM = """
import structlog
from subgraphs.kernel.logging import configure_logging

configure_logging()
log = structlog.stdlib.get_logger("a.module")
log.warning("thing_failed", count=3)
secret = "hunter2"
try:
    raise ValueError("too much")
except ValueError:
    log.exception("work_failed")
"""


def lines_of(log_format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"LOG_FORMAT": log_format},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


def test_json_has_the_event_its_keys_and_the_traceback() -> None:
    first, second = map(json.loads, lines_of("json"))

    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "thing_failed", "level": "warning", "logger": "a.module", "count": 3}
    assert second["event"] == "work_failed"
    assert second["exception"].endswith("ValueError: too much")


def test_no_format_shows_local_variables() -> None:
    for log_format in ("json", "console"):
        assert "hunter2" not in "\n".join(lines_of(log_format))
