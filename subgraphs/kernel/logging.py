"""Logs: structured, one line each, on standard error, with the time in UTC.

Modules call `structlog.stdlib.get_logger(__name__)`. Records of other libraries' standard loggers
get the same format.
"""

import logging
import sys

import structlog

from subgraphs.kernel.config import settings

_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

# On import, so that events also reach the standard loggers where nobody configures a handler, as in
# tests and scripts.
structlog.configure(
    processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def configure_logging() -> None:
    """Write the logs of this process to standard error; later calls change nothing."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers()],
        )
    )
    root.addHandler(handler)
    root.setLevel(settings().log_level)
    # Envoy logs each request; httpx would add a line for each inner request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # uvicorn has its own handlers, and at INFO it logs the address of each WebSocket's client.
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def _renderers() -> list[structlog.typing.Processor]:
    if settings().log_format == "console" or sys.stderr.isatty():
        # Other formatters print local variables, which may hold secrets and personal data.
        plain = structlog.dev.plain_traceback
        return [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
