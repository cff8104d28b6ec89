"""Logs: structured, one line each, on standard error, with the time in UTC.

Modules call `structlog.get_logger(__name__)`; records of other libraries' standard loggers get the
same format.
"""

import logging
import sys

import structlog

from subgraphs.kernel.config import settings


def configure_logging() -> None:
    """Set up the logs of this process; later calls change nothing."""
    root = logging.getLogger()
    if root.handlers:
        return
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers()],
        )
    )
    root.addHandler(handler)
    root.setLevel(settings().log_level)
    # Envoy logs each request; httpx would add a line for each inner request.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _renderers() -> list[structlog.typing.Processor]:
    if settings().log_format == "console" or sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
