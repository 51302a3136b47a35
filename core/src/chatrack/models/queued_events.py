"""The order of a model's failure and the events before it."""

from agents.exceptions import _mark_error_to_drain_stream_events

from chatrack.errors import ModelFailure


def deliver_queued_first(failure: ModelFailure) -> ModelFailure:
    """Mark a failure, so that the Agents SDK delivers its queued events before it raises the failure.

    Args:
        failure: the failure; changed in place.

    Returns:
        The same failure.
    """
    _mark_error_to_drain_stream_events(failure)  # docs/upstream.md: queued-events-dropped
    return failure
