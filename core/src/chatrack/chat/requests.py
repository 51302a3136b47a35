"""ChatKit requests: parsing, and the bounds of what they may hold."""

import base64
import unicodedata
from typing import Any, TypeAlias, get_args

import chatkit.types as wire
import msgspec
from pydantic import BaseModel, ValidationError

from chatrack.config import ChatTable
from chatrack.errors import BadRequest
from chatrack.interfaces.records import dump
from chatrack.settings import did_you_mean

MAX_PAGE = 100
"""The largest page; a request for more gets this many."""

DEFAULT_PAGE = 20
"""The page when the request does not say, as in ChatKit."""

_MAX_LIST = 100
_MAX_DEPTH = 64
_MAX_RESULT = 262_144
_BYTES_PER_CHARACTER = 8
"""A character of JSON takes six bytes at most; the rest is room for what surrounds the text."""

Request: TypeAlias = wire.StreamingReq | wire.NonStreamingReq

# The classes have their validators already; the stock server builds an adapter for each request.
_CLASSES: dict[str, type[BaseModel]] = {
    cls.model_fields["type"].default: cls
    for union in (wire.StreamingReq, wire.NonStreamingReq)
    for cls in get_args(union)
}


def parse_request(body: bytes) -> Request:
    """Parse a request. What clients leave out or send as null is filled in where the meaning is clear.

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
    _check_shape(data)
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object with a `type`.")
    kind = data.get("type")
    if not isinstance(kind, str):
        raise BadRequest("The request has no type.", field="type")
    cls = _CLASSES.get(kind)
    if cls is None:
        raise BadRequest(
            f"There is no request of this type{did_you_mean(kind[:100], _CLASSES)}.", field="type"
        )
    try:
        return cls.model_validate(_filled_in(data))  # type: ignore[return-value]  # the table has no other classes
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part)[:40] for part in first["loc"])
        raise BadRequest(f"{field}: {first['msg']}.", field=field) from error
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.") from error


def _check_shape(data: object) -> None:
    """Bound depth and lists before anything looks at every element of them.

    Raises:
        BadRequest: it is nested too deeply, or a list that is looked into is too long.
    """
    level: list[object] = [data]
    for _ in range(_MAX_DEPTH):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, dict | list)
        ]
        if not level:
            break
    else:
        raise BadRequest("The body is nested too deeply.")
    params = data.get("params") if isinstance(data, dict) else None
    if not isinstance(params, dict):
        return
    given = params.get("input")
    looked_into = [("item_ids", params.get("item_ids"))]
    if isinstance(given, dict):
        looked_into += [(f"input.{name}", given.get(name)) for name in ("content", "attachments", "answers")]
    for name, value in looked_into:
        if isinstance(value, list | dict) and len(value) > _MAX_LIST:
            raise BadRequest(f"At most {_MAX_LIST} entries are taken here.", field=f"params.{name}")


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
    tagged = any(isinstance(part, wire.UserMessageTagContent) for part in content)
    if not tagged and not message.attachments and not any(part.text.strip() for part in content):
        raise BadRequest("The message is empty.", field=field)
    return message.model_copy(update={"content": content, "quoted_text": quoted})


def check_size(item: BaseModel, max_message: int, *, field: str) -> None:
    """Bound all of an item, also the parts that are no text, such as what comes with a tag.

    Raises:
        BadRequest: it is too large.
    """
    if len(dump(item)) > _BYTES_PER_CHARACTER * max_message:
        raise BadRequest("The message is too large, with all that comes with it.", field=field)


def check_result(result: object) -> None:
    """Bound what a tool of the page gives.

    Raises:
        BadRequest: it is too large.
    """
    if len(msgspec.json.encode(result)) > _MAX_RESULT:
        raise BadRequest(f"A result has at most {_MAX_RESULT} bytes.", field="params.result")


def clean_answers(
    submission: wire.StructuredInputSubmission, chat: ChatTable
) -> wire.StructuredInputSubmission:
    """Bound a user's answers.

    Raises:
        BadRequest: they are too long.
    """
    cleaned = submission.model_copy(deep=True)
    length = 0
    for answer in cleaned.answers.values():
        answer.values = [clean_text(value) for value in answer.values]
        length += sum(map(len, answer.values))
    if length > chat.max_message:
        raise BadRequest(f"Answers have at most {chat.max_message} characters.", field="params.input")
    return cleaned


def check_feedback(item_ids: list[str]) -> None:
    """Bound the items of a feedback request.

    Raises:
        BadRequest: none, or too many.
    """
    if not 1 <= len(item_ids) <= _MAX_LIST:
        raise BadRequest(f"Feedback is about 1 to {_MAX_LIST} items.", field="params.item_ids")


AUDIO = frozenset(
    f"audio/{kind}" for kind in ("flac", "m4a", "mp3", "mp4", "mpeg", "ogg", "wav", "webm", "x-m4a", "x-wav")
)
"""Types of recordings that are taken."""


def clean_audio(params: wire.InputTranscribeParams, chat: ChatTable) -> tuple[bytes, str]:
    """Bound a recording.

    Returns:
        Its bytes, and its type without parameters.

    Raises:
        BadRequest: it is too large, of another type, empty, or not base64.
    """
    mime_type = params.mime_type.partition(";")[0].strip().lower()
    if mime_type not in AUDIO:
        raise BadRequest("Recordings of this type are not taken.", field="params.mime_type")
    field = "params.audio_base64"
    if len(params.audio_base64) > chat.max_audio * 4 // 3 + 4:
        raise BadRequest(f"A recording has at most {chat.max_audio} bytes.", field=field)
    try:
        audio = base64.b64decode(params.audio_base64, validate=True)
    except ValueError as error:
        raise BadRequest("The recording is not valid base64.", field=field) from error
    if not audio:
        raise BadRequest("The recording is empty.", field=field)
    if len(audio) > chat.max_audio:
        raise BadRequest(f"A recording has at most {chat.max_audio} bytes.", field=field)
    return audio, mime_type
