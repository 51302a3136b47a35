"""What the fake's web search finds."""

from __future__ import annotations

from typing import Any

QUERY = "what the fake searched for"
URL = "https://example.com/found"


def url_citation(text: str) -> dict[str, Any]:
    """Return the citation of what was found for the whole of `text`, as the Responses API has it."""
    return {
        "type": "url_citation",
        "start_index": 0,
        "end_index": len(text),
        "title": "What was found",
        "url": URL,
    }
