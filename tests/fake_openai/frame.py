"""Ids, JSON text and padding in the streams of both APIs."""

from __future__ import annotations

import json
import secrets
from json.encoder import encode_basestring
from typing import Any

_PADDING = "aZ4kQ9vXm2Lr7TbY"


def new_id(prefix: str) -> str:
    """Return a random id such as ``msg_<48 hex digits>``."""
    return f"{prefix}_{secrets.token_hex(24)}"


def call_id() -> str:
    """Return a random function call id of OpenAI's length."""
    return f"call_{secrets.token_hex(12)}"


def dump(value: Any) -> str:
    """Return compact JSON text that is not escaped to ASCII, as OpenAI sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def quote(text: str) -> bytes:
    """Return a string as JSON, in bytes."""
    return encode_basestring(text).encode()


def padding(body: dict[str, Any], text: str) -> str:
    """Return the `obfuscation` field of a delta, with a leading comma; empty if the request opts out.

    OpenAI pads deltas to hide the lengths of tokens; parsing the padding costs the client time.
    """
    if (body.get("stream_options") or {}).get("include_obfuscation") is False:
        return ""
    return f',"obfuscation":"{_PADDING[min(len(text), len(_PADDING) - 1) :]}"'
