"""Logging: structured, one line per event, to stderr; without the text of messages and without secrets."""

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.typing import Processor

_QUIET = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "aiosqlite", "alembic")
"""Libraries whose lines of level info repeat what Chatrack's own lines say."""


# Without local variables: they hold headers with tokens, request bodies and messages.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure(level: str, style: Literal["console", "json"]) -> None:
    """Send Chatrack's log events and those of its libraries to stderr, in one format.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `console` for people, `json` for machines.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(style)
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            foreign_pre_chain=[*shared, _logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    # It logs the provider's message of every failed model call, which may quote the key. The turn logs the failure too.
    logging.getLogger("openai.agents").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(max(number, logging.WARNING))
    # ChatKit adds a handler of its own if LOG_LEVEL is set, which would print every line twice.
    logging.getLogger("chatkit").handlers = []


def _renderers(style: str) -> list[Processor]:
    if style == "json":
        return [_TRACEBACKS, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _logger_name(logger: Any, _method: str, event: Any) -> Any:
    event["logger"] = event["_record"].name if "_record" in event else getattr(logger, "name", "")
    return event
