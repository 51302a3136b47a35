"""What a turn's failure looks like to the user and to the operator."""

import math

import structlog
from chatkit.errors import CustomStreamError, ErrorCode, StreamError
from chatkit.types import ErrorEvent

from chatrack.errors import Fault, LeaseLost, ModelFailure, RequestError
from chatrack.models.failures import failure_of

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
    failure = failure_of(error)
    if failure is not None:
        return _model_failed(failure, log)
    log.error("turn failed", exc_info=error)
    return ErrorEvent(code=ErrorCode.STREAM_ERROR, allow_retry=True)


def _custom(message: str, *, allow_retry: bool) -> ErrorEvent:
    return ErrorEvent(code="custom", message=message, allow_retry=allow_retry)


def sentence_for(failure: ModelFailure) -> tuple[str, bool]:
    """Say what went wrong with a model so that the user can act on it.

    Returns:
        The sentence, and whether trying again as it is may help.
    """
    if failure.fault == "rate_limited" and failure.retry_after:
        seconds = math.ceil(failure.retry_after)
        unit = "second" if seconds == 1 else "seconds"
        return f"The model is busy right now. Please try again in {seconds} {unit}.", True
    return _SENTENCES[failure.fault]


_OPERATOR = "Please tell whoever runs this chat."
_AGAIN = "Please try again"
_SENTENCES: dict[Fault, tuple[str, bool]] = {
    "authentication": (f"The model provider did not accept this server's key. {_OPERATOR}", False),
    "quota": (f"This server's account with the model provider is used up. {_OPERATOR}", False),
    "rate_limited": (f"The model is busy right now. {_AGAIN} in a moment.", True),
    "unavailable": (f"The model provider cannot answer right now. {_AGAIN} in a moment.", True),
    "first_token_timeout": (f"The model did not begin to answer in time. {_AGAIN}.", True),
    "idle_timeout": (f"The model stopped in the middle of its answer. {_AGAIN}.", True),
    "broken": (f"The answer broke off on its way here. {_AGAIN}.", True),
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
        f"The assistant used its tools again and again and was stopped. {_AGAIN}, or ask for less at once.",
        True,
    ),
}

_USERS = {"refused", "filtered", "context_length_exceeded", "max_output_tokens"}
"""What users bring about, and operators need not look into."""


def _model_failed(failure: ModelFailure, log: structlog.stdlib.BoundLogger) -> ErrorEvent:
    details = {
        "model": failure.model,
        "status": failure.status,
        "code": None if failure.code is None else str(failure.code)[:100],
        "provider_request_id": failure.request_id,
        "retry_after": failure.retry_after,
    }
    say = log.warning if failure.fault in _USERS else log.error
    say(
        "model failed", fault=failure.fault, **{name: one for name, one in details.items() if one is not None}
    )
    message, allow_retry = sentence_for(failure)
    return _custom(message, allow_retry=allow_retry)
