"""Logs: structured, one line an event, on stderr; no message text, no secrets."""

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.typing import Processor

_QUIET = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "aiosqlite", "alembic")
"""Libraries that tell, at level info, what is in our own lines already."""


# Never the locals: they hold headers with tokens, bodies and what people wrote.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure(level: str, style: Literal["console", "json"]) -> None:
    """Send Chatrack's own events and those of the libraries under it to stderr, in one form.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `console` for people, `json` for machines.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last = _renderers(style)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=[*shared, _logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    # It tells of every failure of a model in the words of the provider, who may quote the key; the turn tells too.
    logging.getLogger("openai.agents").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(max(number, logging.WARNING))
    # chatkit adds a handler of its own when LOG_LEVEL is set, and every line would be there twice.
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
