"""The order of a failure and what came before it."""

from agents.exceptions import _mark_error_to_drain_stream_events

from chatrack.errors import ModelFailure


def deliver_queued_first(failure: ModelFailure) -> ModelFailure:
    """Have the Agents SDK hand on what it has in its queue before it raises a failure; else it drops that.

    Args:
        failure: the failure; changed in place.
    """
    _mark_error_to_drain_stream_events(failure)
    return failure
