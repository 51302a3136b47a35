"""ChatKit requests: parsing, and the bounds of what they may hold (T6 T24)."""

import unicodedata
from typing import Any, TypeAlias, get_args

import chatkit.types as wire
import msgspec
from pydantic import BaseModel, ValidationError

from chatrack.config import ChatTable
from chatrack.errors import BadRequest
from chatrack.settings import closest

MAX_PAGE = 100
"""The largest page; a request for more gets this many."""

DEFAULT_PAGE = 20
"""The page when the request does not say, as in ChatKit."""

_MAX_LIST = 100

Request: TypeAlias = wire.StreamingReq | wire.NonStreamingReq

# The classes have their validators already; the stock server builds an adapter for each request (T26).
_CLASSES: dict[str, type[BaseModel]] = {
    cls.model_fields["type"].default: cls
    for union in (wire.StreamingReq, wire.NonStreamingReq)
    for cls in get_args(union)
}


def parse(body: bytes) -> Request:
    """Parse a request. What clients leave out or send as null is filled in where the meaning is clear (T24).

    Args:
        body: the JSON of the request.

    Raises:
        BadRequest: it is not JSON, not a known request, or lacks something; the field is named.
    """
    try:
        data = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not UTF-8 text.") from error
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object with a `type`.")
    kind = data.get("type")
    if not isinstance(kind, str):
        raise BadRequest("The request has no type.", field="type")
    cls = _CLASSES.get(kind)
    if cls is None:
        raise BadRequest(f"There is no request of this type{closest(kind[:100], _CLASSES)}.", field="type")
    try:
        return cls.model_validate(_filled_in(data))  # type: ignore[return-value]  # the table has no other classes
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{field}: {first['msg']}.", field=field) from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error


def _filled_in(data: dict[str, Any]) -> dict[str, Any]:
    data = {**data, "metadata": data.get("metadata") or {}, "params": data.get("params") or {}}
    params = data["params"]
    if isinstance(params, dict):
        message = params.get("input")
        if isinstance(message, dict) and "content" in message:
            filled = dict(message)
            filled["attachments"] = message.get("attachments") or []
            filled["inference_options"] = message.get("inference_options") or {}
            params = {**params, "input": filled}
        if params.get("order", "") is None:
            params = {name: value for name, value in params.items() if name != "order"}
        data["params"] = params
    return data


def page_size(limit: int | None) -> int:
    """Decide how many to return.

    Raises:
        BadRequest: fewer than one.
    """
    if limit is None:
        return DEFAULT_PAGE
    if limit < 1:
        raise BadRequest("A page has at least 1 entry.", field="params.limit")
    return min(limit, MAX_PAGE)


def clean_text(text: str) -> str:
    """Remove control characters other than tabs and line breaks."""
    if text.isprintable():
        return text
    return "".join(char for char in text if char in "\t\n\r" or unicodedata.category(char) != "Cc")


def clean_title(title: str, chat: ChatTable) -> str:
    """Bound a title.

    Raises:
        BadRequest: it is empty or too long.
    """
    cleaned = " ".join(clean_text(title).split())
    if not cleaned:
        raise BadRequest("A title has at least one character.", field="params.title")
    if len(cleaned) > chat.max_title:
        raise BadRequest(f"A title has at most {chat.max_title} characters.", field="params.title")
    return cleaned


def clean_message(message: wire.UserMessageInput, chat: ChatTable) -> wire.UserMessageInput:
    """Bound a user's message.

    Raises:
        BadRequest: it is empty or too long.
    """
    content: list[wire.UserMessageContent] = []
    length = 0
    for part in message.content:
        text = clean_text(part.text)
        length += len(text)
        content.append(part.model_copy(update={"text": text}))
    quoted = None if message.quoted_text is None else clean_text(message.quoted_text)
    field = "params.input.content"
    if length > chat.max_message:
        raise BadRequest(f"A message has at most {chat.max_message} characters.", field=field)
    if quoted is not None and len(quoted) > chat.max_message:
        raise BadRequest(
            f"A quotation has at most {chat.max_message} characters.", field="params.input.quoted_text"
        )
    if len(content) > _MAX_LIST or len(message.attachments) > _MAX_LIST:
        raise BadRequest(f"A message has at most {_MAX_LIST} parts and as many attachments.", field=field)
    tagged = any(isinstance(part, wire.UserMessageTagContent) for part in content)
    if not tagged and not message.attachments and not any(part.text.strip() for part in content):
        raise BadRequest("The message is empty.", field=field)
    return message.model_copy(update={"content": content, "quoted_text": quoted})


def check_feedback(item_ids: list[str]) -> None:
    """Bound the items of a feedback request.

    Raises:
        BadRequest: none, or too many.
    """
    if not 1 <= len(item_ids) <= _MAX_LIST:
        raise BadRequest(f"Feedback is about 1 to {_MAX_LIST} items.", field="params.item_ids")
