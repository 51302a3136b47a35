"""ChatKit requests: parsing, and the bounds of what clients may send."""

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
    """Parse a request. Fields that clients leave out or send as null are filled in where the meaning is clear.

    Args:
        body: the JSON of the request.

    Raises:
        BadRequest: the body is not JSON, not a known request, or lacks a field, which is named.
    """
    try:
        data = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise _too_deep() from error
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
        return cls.model_validate(_fill_in(data))  # type: ignore[return-value]  # the table has no other classes
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part)[:40] for part in first["loc"])
        raise BadRequest(f"{field}: {first['msg']}.", field=field) from error
    except RecursionError as error:
        raise _too_deep() from error


def _too_deep() -> BadRequest:
    return BadRequest(f"The body is nested too deeply: at most {_MAX_DEPTH} levels are accepted.")


def _check_shape(data: object) -> None:
    """Bound the depth, and the lists whose every element is looked at.

    Raises:
        BadRequest: the body is nested too deeply, or such a list is too long.
    """
    level: list[object] = [data]
    for _ in range(_MAX_DEPTH):
        level = [
            member
            for container in level
            if isinstance(container, dict | list)
            for member in (container.values() if isinstance(container, dict) else container)
            if isinstance(member, dict | list)
        ]
        if not level:
            break
    else:
        raise _too_deep()
    params = data.get("params") if isinstance(data, dict) else None
    if not isinstance(params, dict):
        return
    given = params.get("input")
    bounded = [("item_ids", params.get("item_ids"))]
    if isinstance(given, dict):
        bounded += [(f"input.{name}", given.get(name)) for name in ("content", "attachments", "answers")]
    for name, value in bounded:
        if isinstance(value, list | dict) and len(value) > _MAX_LIST:
            raise BadRequest(f"At most {_MAX_LIST} entries are taken here.", field=f"params.{name}")


def _fill_in(data: dict[str, Any]) -> dict[str, Any]:
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
    """Return the size of the page for a requested limit.

    Raises:
        BadRequest: the limit is below 1.
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
    """Return a title on one line, without control characters.

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
    """Return a user's message without control characters, with texts that follow each other joined.

    Raises:
        BadRequest: it is empty or too long.
    """
    content: list[wire.UserMessageContent] = []
    length = 0
    for part in message.content:
        text = clean_text(part.text)
        length += len(text)
        last = content[-1] if content else None
        if isinstance(part, wire.UserMessageTextContent) and isinstance(last, wire.UserMessageTextContent):
            # Models read texts without anything between them, and guardrails are to check what models read.
            content[-1] = last.model_copy(update={"text": last.text + text})
        else:
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
    """Check the size of a whole item, with the data of its tags.

    Raises:
        BadRequest: it is too large.
    """
    if len(dump(item)) > _BYTES_PER_CHARACTER * max_message:
        raise BadRequest("The message is too large, with all that comes with it.", field=field)


def check_result(result: object) -> None:
    """Check the size of a client tool's result.

    Raises:
        BadRequest: it is too large.
    """
    if len(msgspec.json.encode(result)) > _MAX_RESULT:
        raise BadRequest(f"A result has at most {_MAX_RESULT} bytes.", field="params.result")


def clean_answers(
    submission: wire.StructuredInputSubmission, chat: ChatTable
) -> wire.StructuredInputSubmission:
    """Return a user's answers without control characters.

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
    """Check the number of items of a feedback request.

    Raises:
        BadRequest: there are none, or too many.
    """
    if not 1 <= len(item_ids) <= _MAX_LIST:
        raise BadRequest(f"Feedback is about 1 to {_MAX_LIST} items.", field="params.item_ids")


AUDIO = frozenset(
    f"audio/{kind}" for kind in ("flac", "m4a", "mp3", "mp4", "mpeg", "ogg", "wav", "webm", "x-m4a", "x-wav")
)
"""The media types of recordings that are accepted."""


def clean_audio(params: wire.InputTranscribeParams, chat: ChatTable) -> tuple[bytes, str]:
    """Decode a recording.

    Returns:
        Its bytes, and its media type without parameters.

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
