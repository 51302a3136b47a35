"""What a provider's answer says beside what went wrong: its own id of the request, and when to try again."""

import email.utils
import math
import re
from collections.abc import Mapping
from typing import Any

from chatrack.clock import now

_BEHIND_A_PROXY = "llm_provider-"
"""LiteLLM hands on the headers of the provider behind it under names that begin so."""

_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """Find what the provider calls the request."""
    return _find(headers, "x-request-id")


def retry_after_in(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    """Find the seconds after which it is worth trying again.

    Args:
        headers: of the answer; a number of seconds, or a date.
        body: the error in the answer; Gemini says it there.
    """
    if (milliseconds := _number(_find(headers, "retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = _find(headers, "retry-after")
    if (seconds := _number(given)) is not None:
        return seconds
    if given is not None:
        try:
            moment = email.utils.parsedate_to_datetime(given)
            return max(0.0, (moment - now()).total_seconds())
        except (ValueError, TypeError):
            return None
    details = body.get("details")
    for detail in details if isinstance(details, list) else []:
        delay = _DELAY.fullmatch(str(detail.get("retryDelay"))) if isinstance(detail, dict) else None
        if delay is not None:
            return float(delay[1])
    return None


def _find(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(name) or headers.get(_BEHIND_A_PROXY + name)


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
