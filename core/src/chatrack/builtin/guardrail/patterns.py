"""`blocked_patterns`: trips on what regular expressions match."""

from collections.abc import Sequence
from typing import Any

import re2  # type: ignore[import-untyped]  # has no stubs

from chatrack import GuardrailContext, InputGuardrail, OutputGuardrail, StartupError, Trip
from chatrack.interfaces import TripStore, Verdict

INPUT_BLOCKED = "This message cannot be sent here. Please put it differently."
OUTPUT_BLOCKED = "This answer was withheld: it has content that is blocked here."


def compile_pattern(pattern: str) -> Any:
    """Compile a regular expression that takes linear time, whatever the text is.

    Args:
        pattern: in the syntax of RE2, which has neither lookarounds nor backreferences.

    Raises:
        ValueError: it is not one.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


class _Patterns:
    def __init__(self, patterns: Sequence[str], store: TripStore) -> None:
        self._patterns = [compile_pattern(pattern) for pattern in patterns]
        self._store: TripStore = store

    def check_settings(self) -> None:
        """Raise unless there is a pattern."""
        if not self._patterns:
            raise StartupError("plugins.guardrails.blocked_patterns is not set")

    def _search(self, text: str, message: str) -> Verdict:
        if any(pattern.search(text) for pattern in self._patterns):
            return Trip(message, store=self._store)
        return None


class BlockedInput(_Patterns, InputGuardrail):
    """Trips if a pattern is found in what a user sends.

    Args:
        patterns: regular expressions, in the syntax of RE2.
        store: what stays in the thread.
    """

    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        """Trip if a pattern is found."""
        return self._search(text, INPUT_BLOCKED)


class BlockedOutput(_Patterns, OutputGuardrail):
    """Trips if a pattern is found in an answer. A pattern may span sentences, so the answer is checked whole."""

    async def check_output(self, text: str, context: GuardrailContext) -> Verdict:
        """Trip if a pattern is found."""
        return self._search(text, OUTPUT_BLOCKED)


class Blocked(BlockedInput, BlockedOutput):
    """Both."""
