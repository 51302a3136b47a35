"""What a turn's failure looks like to the user and to the operator."""

from typing import Any

import openai
import structlog
from agents.exceptions import MaxTurnsExceeded
from chatkit.errors import CustomStreamError, ErrorCode, StreamError
from chatkit.types import ErrorEvent

from chatrack.errors import LeaseLost, RequestError

INTERRUPTED = ErrorEvent(
    message="The server is restarting and stopped this answer. You can try again.", allow_retry=True
)
TAKEN_OVER = "This conversation went on elsewhere. Reload it to see its current state."


def describe(error: BaseException, log: structlog.stdlib.BoundLogger) -> ErrorEvent:
    """Log a failure and give the event that tells the user.

    Args:
        error: what the turn raised.
        log: the turn's logger.
    """
    if isinstance(error, LeaseLost):
        log.warning("turn lost its thread")
        return _custom(TAKEN_OVER, allow_retry=False)
    if isinstance(error, CustomStreamError):
        return _custom(error.message, allow_retry=error.allow_retry)
    if isinstance(error, StreamError):
        return ErrorEvent(code=error.code, allow_retry=error.allow_retry)
    if isinstance(error, RequestError):
        log.warning("turn refused", reason=error.title)
        return _custom(error.detail, allow_retry=error.status >= 500)
    if isinstance(error, MaxTurnsExceeded):
        log.warning("turn failed", reason="the model called tools without end")
        return _custom("The assistant went round in circles and was stopped.", allow_retry=True)
    if isinstance(error, openai.OpenAIError):
        # Providers quote the request in their errors, sometimes with a part of the key: name the kind alone.
        details: dict[str, Any] = {
            name: value
            for name in ("status_code", "request_id", "code")
            if (value := getattr(error, name, None)) is not None
        }
        log.error("provider failed", error=type(error).__name__, **details)
        return _custom("The model provider did not answer as it should. Please try again.", allow_retry=True)
    log.error("turn failed", exc_info=error)
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)


def _custom(message: str, *, allow_retry: bool) -> ErrorEvent:
    return ErrorEvent(code="custom", message=message, allow_retry=allow_retry)
