"""Validation of the tools' arguments. Each function returns the value to store, or raises what is allowed."""

import unicodedata
from datetime import UTC, date, datetime

from chatrack import ToolError

MAX_TITLE = 200
MAX_DESCRIPTION = 1000
MAX_PRIORITY = 5
MAX_LIMIT = 100
MAX_OFFSET = 1_000_000

_UNPRINTABLE = {"Cc", "Cs"}  # control characters, and lone surrogates, which databases refuse
_BREAKS = "\t\n\v\f\r\x85\u2028\u2029"


def title(value: str) -> str:
    """Validate a title; line breaks become spaces.

    Raises:
        ToolError: it is empty or too long.
    """
    text = _printable("".join(" " if character in _BREAKS else character for character in value)).strip()
    if not 1 <= len(text) <= MAX_TITLE:
        raise ToolError(f"title must be 1 to {MAX_TITLE} characters long, and this one has {len(text)}.")
    return text


def description(value: str) -> str | None:
    """Validate a description; an empty one becomes None.

    Raises:
        ToolError: it is too long.
    """
    text = _printable(value, keep="\n\t").strip()
    if len(text) > MAX_DESCRIPTION:
        raise ToolError(
            f"description must be at most {MAX_DESCRIPTION} characters long, and this one has {len(text)}."
        )
    return text or None


def priority(value: int) -> int:
    """Validate a priority.

    Raises:
        ToolError: it is out of range.
    """
    return _within("priority", value, 0, MAX_PRIORITY, "0 (none) to 5 (highest)")


def due_at(value: str) -> str | None:
    """Validate a due date; an empty text becomes None.

    Returns:
        A date as it is, a time in UTC with `Z` (without an offset it is taken as UTC), or None.

    Raises:
        ToolError: it is neither a date nor a date with a time.
    """
    text = value.strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass  # it may be a date with a time
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # with its offset, a time may be beyond the calendar
        raise ToolError(
            "due_at must be an ISO 8601 date (2026-12-01) or date and time (2026-12-01T09:00:00Z)."
        ) from error
    return moment.isoformat().replace("+00:00", "Z")


def limit(value: int) -> int:
    """Validate the number of entries on a page.

    Raises:
        ToolError: it is out of range.
    """
    return _within("limit", value, 1, MAX_LIMIT, f"1 to {MAX_LIMIT}")


def offset(value: int) -> int:
    """Validate the number of entries to skip.

    Raises:
        ToolError: it is out of range.
    """
    return _within("offset", value, 0, MAX_OFFSET, f"0 to {MAX_OFFSET}")


def shown_id(value: str) -> str:
    """Return an unknown id in a form that can be repeated to the model."""
    text = _printable(value).strip()
    return text if len(text) <= 64 else f"{text[:63]}…"


def _within(name: str, value: int, low: int, high: int, allowed: str) -> int:
    if not low <= value <= high:
        raise ToolError(f"{name} must be a whole number from {allowed}.")
    return value


def _printable(text: str, *, keep: str = "") -> str:
    return "".join(
        character
        for character in text
        if character in keep or unicodedata.category(character) not in _UNPRINTABLE
    )
