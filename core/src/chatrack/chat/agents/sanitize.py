"""Removes from a model's text what cannot be stored or sent. What models say is not to be trusted."""

from typing import Any


def sanitize_text(text: str) -> str:
    """Return a text without NUL characters, which databases refuse, and without halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def sanitize_json(value: Any) -> Any:
    """Return a JSON value with all its texts sanitized, keys included."""
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, dict):
        return {sanitize_text(name): sanitize_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [sanitize_json(member) for member in value]
    return value
