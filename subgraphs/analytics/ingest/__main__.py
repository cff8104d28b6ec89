"""The snippet's door: POST /v1/events.

    {"siteKey": "pk_…", "events": [{"id": "<uuid>", "type": "shown", "claimId": "<uuid>",
      "occurredAt": "2026-01-02T03:04:05Z", "visitorId": "…", "page": "/shoes"}]}

202 says for each event whether it was accepted, was a duplicate, or was refused and why; what it
calls accepted is on disk. `shown`, `clicked`, `dismissed` and `withheld` need a claimId,
`goal.reached` a goal and perhaps a value, `page.viewed` neither. The rooms are in `door/`.

    python -m subgraphs.analytics.ingest --host 127.0.0.1 --port 4010
"""

import argparse
import gc
import resource

import uvloop

from subgraphs.analytics.ingest.server import serve
from subgraphs.kernel.logging import configure_logging

_COLLECT_EVERY = 50_000
"""Objects: the requests in hand are no garbage, and Python's 700 would count them all the time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    configure_logging()
    gc.freeze()  # what is loaded stays: the collector need not look at it again
    gc.set_threshold(_COLLECT_EVERY)
    _open_as_many_files_as_allowed()
    uvloop.run(serve(options.host, options.port))


def _open_as_many_files_as_allowed() -> None:
    """Each refusal that is held back is a connection; a shell's limit is often 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
