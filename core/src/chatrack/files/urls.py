"""URLs of files in items: stored items have placeholders, which become URLs when the items are read."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

PLACEHOLDER_URL = "https://files.invalid/"
"""What the placeholder of a file begins with; the id of the file follows."""

PLACEHOLDER = PLACEHOLDER_URL.encode()
"""The same in bytes."""


def add_urls(text: str, url_of: Callable[[str], str]) -> str:
    """Return JSON with URLs in place of placeholders.

    Only attachments and generated images have any: what users and models write stays as it is.

    Args:
        text: an item, a thread, a page or an event, as JSON.
        url_of: returns the URL of a file.
    """
    if PLACEHOLDER_URL not in text:
        return text
    value = msgspec.json.decode(text)
    for image, key in _images(value):
        url = image.get(key)
        if isinstance(url, str) and url.startswith(PLACEHOLDER_URL):
            image[key] = url_of(url.removeprefix(PLACEHOLDER_URL))
    return msgspec.json.encode(value).decode()


def _images(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield all images of items, each with the key of its URL."""
    if isinstance(value, list):
        for element in value:
            yield from _images(element)
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    if kind == "user_message":
        yield from ((attachment, "preview_url") for attachment in value.get("attachments", ()))
    elif kind == "generated_image":
        if isinstance(value.get("image"), dict):
            yield value["image"], "url"
    elif kind is None or str(kind).startswith("thread."):
        for key in ("data", "items", "item", "thread"):
            yield from _images(value.get(key))
