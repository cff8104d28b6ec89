"""Beat, which sends the periodic tasks: `celery -A workers.beat beat`.

It sends tasks by name and imports none of them, so it takes half the memory of a worker. It is a
process of its own: the supervisor restarts it when it dies.
"""

import logging
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging

from subgraphs.kernel.logging import configure_logging
from workers import broker
from workers.configuration import configuration

app = Celery("proofgraph", amqp=broker.AMQP)
app.add_defaults(configuration)


@setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    configure_logging()
    logging.getLogger("celery.beat").setLevel(logging.WARNING)  # one line for each task sent


@beat_init.connect
def _report_ready(**_: Any) -> None:
    """Print `ready`, which the supervisor waits for."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
