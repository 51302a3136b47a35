"""Times: aware, in UTC, with `Z` on the wire."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC. A naive time counts as local time, because that is what ChatKit's helpers create."""
    return moment.astimezone(UTC)


def to_micros(moment: datetime) -> int:
    """Return a moment as microseconds since 1970, the format of stores."""
    delta = as_utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """Return the moment that is a number of microseconds after 1970 began, in UTC."""
    seconds, microseconds = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


def to_wire(moment: datetime) -> str:
    """Return a moment as pydantic serializes it: ISO 8601 with `Z`."""
    return as_utc(moment).isoformat().replace("+00:00", "Z")
