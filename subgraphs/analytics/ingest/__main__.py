"""The snippet's ingest endpoint: POST /v1/events.

    {"siteKey": "pk_…", "events": [{"id": "<uuid>", "type": "shown", "claimId": "<uuid>",
      "occurredAt": "2026-01-02T03:04:05Z", "visitorId": "…", "page": "/shoes"}]}

The response is 202 and states for each event whether it was accepted, a duplicate, or refused, and
why. An accepted event is on disk. `shown`, `clicked`, `dismissed` and `withheld` need a `claimId`,
`goal.reached` needs a `goal` and may have a `value`, `page.viewed` needs neither.

    python -m subgraphs.analytics.ingest --host 127.0.0.1 --port 4010
"""

import argparse
import gc
import resource

import uvloop

from subgraphs.analytics.ingest.server import serve
from subgraphs.kernel.logging import configure_logging

_GC_THRESHOLD = 50_000
"""Objects. Pending requests are not garbage, and by Python's default of 700 the collector would
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
    """Allow as many open files as possible: each delayed refusal holds a connection, and a shell's
    limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
