"""What tests of guardrails look at: all that was sent and stored."""

import json
from pathlib import Path
from typing import Any

from tests.support.serving import is_delta


def wire_of(events: list[dict[str, Any]]) -> str:
    """Return the events as text."""
    return json.dumps(events, ensure_ascii=False)


def stored_in(config: Path) -> str:
    """Return all bytes of the database beside a config, its journal included, as text."""
    return "".join(
        path.read_bytes().decode(errors="replace") for path in sorted(config.parent.glob("chat.db*"))
    )


def deltas_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the text deltas."""
    return [event["update"]["delta"] for event in events if is_delta(event)]


def notices_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the messages of the notices."""
    return [event["message"] for event in events if event["type"] == "notice"]
