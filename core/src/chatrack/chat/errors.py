"""From an exception to the `error` event that the user reads, and the line that the operator reads."""

import math

import structlog
from chatkit.errors import CustomStreamError, ErrorCode, StreamError
from chatkit.types import ErrorEvent, ThreadItem

from chatrack.errors import Fault, LeaseLost, ModelFailure, RequestError
from chatrack.models.failures import as_model_failure

INTERRUPTED = ErrorEvent(
    message="The server is restarting and stopped this answer. You can try again.", allow_retry=True
)
RESTARTING = "The server is restarting."
TAKEN_OVER = "This conversation went on elsewhere. Reload it to see its current state."


class Withheld(Exception):
    """A guardrail tripped or failed: nothing that the turn has produced may stay.

    Args:
        message: the sentence that the user reads.
        refusal: whether the sentence is stored as the assistant's answer.
        allow_retry: whether trying again may help.
        failed: whether the guardrail failed, and so has not found anything.
    """

    def __init__(
        self, message: str, *, refusal: bool = False, allow_retry: bool = False, failed: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.refusal = refusal
        self.allow_retry = allow_retry
        self.failed = failed
        self.sent: ThreadItem | None = None
        """What the user sent, if it is stored and must not stay either."""


def to_error_event(error: BaseException, log: structlog.stdlib.BoundLogger) -> ErrorEvent:
    """Log an exception, and return the event that tells the user.

    Args:
        error: what the turn raised.
        log: the turn's logger.
    """
    if isinstance(error, LeaseLost):
        log.warning("turn lost its thread")
        return _custom(TAKEN_OVER, allow_retry=False)
    if isinstance(error, Withheld):  # whoever raised it has logged it
        return _custom(error.message, allow_retry=error.allow_retry)
    if isinstance(error, CustomStreamError):
        return _custom(error.message, allow_retry=error.allow_retry)
    if isinstance(error, StreamError):
        return ErrorEvent(code=error.code, allow_retry=error.allow_retry)
    if isinstance(error, RequestError):
        log.warning("turn refused", reason=error.title)
        return _custom(error.detail, allow_retry=error.status >= 500)
    failure = as_model_failure(error)
    if failure is not None:
        return _model_failed(failure, log)
    log.error("turn failed", exc_info=error)
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)


def _custom(message: str, *, allow_retry: bool) -> ErrorEvent:
    return ErrorEvent(code="custom", message=message, allow_retry=allow_retry)


def sentence_for(failure: ModelFailure) -> tuple[str, bool]:
    """Return a sentence that the user can act on, and whether to offer a retry."""
    if failure.fault == "rate_limited" and failure.retry_after:
        seconds = math.ceil(failure.retry_after)
        unit = "second" if seconds == 1 else "seconds"
        return f"The model is busy right now. Please try again in {seconds} {unit}.", True
    return _SENTENCES[failure.fault]


_OPERATOR = "Please tell whoever runs this chat."
_TRY_AGAIN = "Please try again"
_SENTENCES: dict[Fault, tuple[str, bool]] = {
    "authentication": (f"The model provider did not accept this server's key. {_OPERATOR}", False),
    "quota": (f"This server's account with the model provider is used up. {_OPERATOR}", False),
    "rate_limited": (f"The model is busy right now. {_TRY_AGAIN} in a moment.", True),
    "unavailable": (f"The model provider cannot answer right now. {_TRY_AGAIN} in a moment.", True),
    "first_token_timeout": (f"The model did not begin to answer in time. {_TRY_AGAIN}.", True),
    "idle_timeout": (f"The model stopped in the middle of its answer. {_TRY_AGAIN}.", True),
    "broken": (f"The answer broke off on its way here. {_TRY_AGAIN}.", True),
    "context_length_exceeded": (
        "This is too long for the model. Please send a shorter message, or start a new conversation.",
        False,
    ),
    "filtered": (
        "The model provider's content filter stopped this answer. Please put it differently.",
        False,
    ),
    "refused": ("The model declined to answer. Please put it differently.", False),
    "max_output_tokens": (
        "The answer reached the greatest length there is and was cut off. Please ask for the rest of it.",
        False,
    ),
    "unknown_model": (f"This model is not available. Please choose another one. {_OPERATOR}", False),
    "rejected": (f"The model provider did not accept the request. {_OPERATOR}", False),
    "max_turns_exceeded": (
        f"The assistant used its tools again and again and was stopped. {_TRY_AGAIN}, or ask for less at once.",
        True,
    ),
}

_CAUSED_BY_USERS = {"refused", "filtered", "context_length_exceeded", "max_output_tokens"}
"""Faults that operators need not look into: logged as warnings."""


def _model_failed(failure: ModelFailure, log: structlog.stdlib.BoundLogger) -> ErrorEvent:
    details = {
        "model": failure.model,
        "status": failure.status,
        "code": None if failure.code is None else str(failure.code)[:100],
        "provider_request_id": failure.request_id,
        "retry_after": failure.retry_after,
    }
    known = {name: value for name, value in details.items() if value is not None}
    write = log.warning if failure.fault in _CAUSED_BY_USERS else log.error
    write("model failed", fault=failure.fault, **known)
    message, allow_retry = sentence_for(failure)
    return _custom(message, allow_retry=allow_retry)
