"""Logging: structured, one line per event, to stderr; without the text of messages and without secrets."""

import io
import logging
import re
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import ExcInfo, Processor

_QUIET = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "aiosqlite", "alembic")
"""Libraries whose lines of level info repeat what Chatrack's own lines say."""

_NOT_ASCII = re.compile(r"[^ -~\n\t]")

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
        _escape_values,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain_traceback),
    ]


def _escape_values(_logger: Any, _method: str, event: Any) -> Any:
    return {key: _escape(value) if isinstance(value, str) else value for key, value in event.items()}


def _plain_traceback(stream: TextIO, error: ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    stream.write(_escape(text.getvalue()))


def _escape(text: str) -> str:
    """Return a text with escapes in place of what terminals obey, such as `ESC`, and of what they show out of order.

    Paths and the texts of errors come from anybody.
    """
    if text.isprintable():
        return text
    return _NOT_ASCII.sub(lambda match: _escaped(match.group()), text)


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _logger_name(logger: Any, _method: str, event: Any) -> Any:
    event["logger"] = event["_record"].name if "_record" in event else getattr(logger, "name", "")
    return event
