"""The result of the fake's web search."""

from __future__ import annotations

from typing import Any

QUERY = "what the fake searched for"
URL = "https://example.com/found"


def url_citation(text: str) -> dict[str, Any]:
    """Return a citation of the result for the whole of `text`, in the form of the Responses API."""
    return {
        "type": "url_citation",
        "start_index": 0,
        "end_index": len(text),
        "title": "What was found",
        "url": URL,
    }
