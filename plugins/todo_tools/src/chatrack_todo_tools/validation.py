"""What the arguments of the tools may be. Each function gives the value as it is kept, or says what is allowed."""

import unicodedata
from datetime import UTC, date, datetime

from chatrack import ToolError

MAX_TITLE = 200
MAX_DESCRIPTION = 1000
MAX_PRIORITY = 5
MAX_LIMIT = 100
MAX_OFFSET = 1_000_000

_UNPRINTABLE = {"Cc", "Cs"}  # control characters, and halves of characters that no database takes
_BREAKS = "\t\n\v\f\r\x85\u2028\u2029"


def title(value: str) -> str:
    """Check a title; breaks become spaces, since it stands on one line.

    Raises:
        ToolError: it is empty or too long.
    """
    text = _printable("".join(" " if sign in _BREAKS else sign for sign in value)).strip()
    if not 1 <= len(text) <= MAX_TITLE:
        raise ToolError(f"title must be 1 to {MAX_TITLE} characters long, and this one has {len(text)}.")
    return text


def description(value: str) -> str | None:
    """Check a description; an empty one is none at all.

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
    """Check a priority.

    Raises:
        ToolError: it is out of range.
    """
    return _within("priority", value, 0, MAX_PRIORITY, "0 (none) to 5 (highest)")


def due_at(value: str) -> str | None:
    """Check when something is due; an empty text is never.

    Returns:
        A date as it is, a moment in UTC with `Z` (one without an offset is taken as UTC), or None.

    Raises:
        ToolError: it is neither a date nor a date with a time.
    """
    text = value.strip()
    if not text:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass  # then it may be a date with a time
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # an offset can lead out of the calendar
        raise ToolError(
            "due_at must be an ISO 8601 date (2026-12-01) or date and time (2026-12-01T09:00:00Z)."
        ) from error
    return moment.isoformat().replace("+00:00", "Z")


def limit(value: int) -> int:
    """Check how many entries are asked for.

    Raises:
        ToolError: it is out of range.
    """
    return _within("limit", value, 1, MAX_LIMIT, f"1 to {MAX_LIMIT}")


def offset(value: int) -> int:
    """Check how many entries are to be skipped.

    Raises:
        ToolError: it is out of range.
    """
    return _within("offset", value, 0, MAX_OFFSET, f"0 to {MAX_OFFSET}")


def shown_id(value: str) -> str:
    """Give an id that means nothing in a form that can be repeated to the model."""
    text = _printable(value).strip()
    return text if len(text) <= 64 else f"{text[:63]}…"


def _within(name: str, value: int, low: int, high: int, allowed: str) -> int:
    if not low <= value <= high:
        raise ToolError(f"{name} must be a whole number from {allowed}.")
    return value


def _printable(text: str, *, keep: str = "") -> str:
    return "".join(sign for sign in text if sign in keep or unicodedata.category(sign) not in _UNPRINTABLE)
