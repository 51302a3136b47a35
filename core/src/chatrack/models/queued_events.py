"""The order of a model's failure and the events before it."""

from typing import TypeVar

from agents.exceptions import _mark_error_to_drain_stream_events

Failure = TypeVar("Failure", bound=Exception)


def deliver_queued_first(failure: Failure) -> Failure:
    """Mark a failure, so that the Agents SDK delivers its queued events before it raises the failure.

    Args:
        failure: the failure; changed in place.

    Returns:
        The same failure.
    """
    _mark_error_to_drain_stream_events(failure)  # docs/upstream.md: queued-events-dropped
    return failure
