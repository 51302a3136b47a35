"""Time as Chatrack writes it: aware, UTC, `Z` on the wire."""

from datetime import UTC, datetime


def now() -> datetime:
    """Give the current time, aware and in UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """Give the same moment in UTC; a naive time is taken as local time, which is what upstream helpers write."""
    return moment.astimezone(UTC)


def to_micros(moment: datetime) -> int:
    """Give microseconds since 1970, as the stores keep them."""
    delta = as_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """Give the moment of so many microseconds since 1970."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def to_wire(moment: datetime) -> str:
    """Give a moment as pydantic writes it: ISO 8601 with `Z`."""
    return as_utc(moment).isoformat().replace("+00:00", "Z")
