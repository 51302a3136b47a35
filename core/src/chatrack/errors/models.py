"""Errors of models."""

from typing import Literal

from chatrack.errors.base import ChatrackError

Fault = Literal[
    "authentication",  # the provider refuses the key
    "quota",  # the account is used up
    "rate_limited",  # 429
    "unavailable",  # 5xx, no connection, or a failure reported in the middle of the answer
    "first_token_timeout",  # the model did not begin to answer in time
    "idle_timeout",  # silence in the middle of the answer, or an answer that takes too long
    "broken",  # the connection broke, or the answer could not be read
    "context_length_exceeded",  # the input is too long for the model
    "filtered",  # the provider's content filter
    "refused",  # the model declined to answer
    "max_output_tokens",  # the answer reached its maximum length
    "unknown_model",  # no such model, or no such address
    "rejected",  # another 4xx
    "max_turns_exceeded",  # the agent called its model too often in one turn
]
"""What went wrong with a model. The user is shown a sentence for each; the log has the name."""


class ModelFailure(ChatrackError):
    """A model did not answer as it should. Model providers raise it; the turn reports it to the user.

    Args:
        fault: what went wrong.
        request_id: the provider's id of the request, for the log.
        status: the HTTP status of the provider's answer, if there was one.
        code: the provider's own code for the error.
        retry_after: seconds after which the request may be repeated, if the provider said so.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        request_id: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.fault = fault
        self.request_id = request_id
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.model: str | None = None
        """The name of the model, `provider/model`; set by the turn."""
        # The provider's message is left out: it may quote the request, or a part of the key.
        super().__init__(f"the model: {fault.replace('_', ' ')}")
