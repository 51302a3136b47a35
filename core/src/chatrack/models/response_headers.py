"""The request id and the retry delay in a provider's response."""

import email.utils
import math
import re
from collections.abc import Mapping
from typing import Any

from chatrack.clock import now

_PROXY_PREFIX = "llm_provider-"
"""LiteLLM passes the headers of the provider behind it on under names with this prefix."""

_RETRY_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of the request."""
    return _header(headers, "x-request-id")


def retry_after_in(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    """Return the seconds after which the provider asks to retry.

    Args:
        headers: the headers of the response; they hold a number of seconds, or a date.
        body: the error in the response; Gemini has the delay there.
    """
    if (milliseconds := _number(_header(headers, "retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = _header(headers, "retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    if value is not None:
        try:
            date = email.utils.parsedate_to_datetime(value)
            return max(0.0, (date - now()).total_seconds())
        except (ValueError, TypeError):
            return None
    details = body.get("details")
    for detail in details if isinstance(details, list) else []:
        delay = _RETRY_DELAY.fullmatch(str(detail.get("retryDelay"))) if isinstance(detail, dict) else None
        if delay is not None:
            return float(delay[1])
    return None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(name) or headers.get(_PROXY_PREFIX + name)


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
