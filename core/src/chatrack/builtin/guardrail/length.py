"""`max_input_chars`: bounds the length of what users send."""

from chatrack import GuardrailContext, InputGuardrail, StartupError, Trip
from chatrack.interfaces import TripStore, Verdict


class MaxInputChars(InputGuardrail):
    """Trips if the texts of a message are longer than a bound.

    Args:
        limit: the greatest number of characters; None if it is not set.
        store: what stays in the thread.
    """

    def __init__(self, limit: int | None, store: TripStore) -> None:
        self._limit = limit
        self._store = store

    def check_settings(self) -> None:
        """Raise unless there is a limit."""
        if self._limit is None:
            raise StartupError("plugins.guardrails.max_input_chars is not set")

    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        """Trip if the text is too long."""
        if self._limit is None or len(text) <= self._limit:
            return None
        return Trip(
            f"This message is too long: {self._limit} characters are the most that can be read here.",
            store=self._store,
        )
