"""Requests: sound ones, built from the schemas of ChatKit's own models, and mutations of them."""

import copy
import json
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import chatkit.types as wire
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

CREDENTIALS = ("ada", "bob", "none", "expired", "garbage", "wrong scheme")
_KINDS = {
    "thread_id": "thread",
    "item_id": "item",
    "item_ids": "item",
    "attachment_id": "item",
    "attachments": "item",
}
_COMMANDS = (
    "hello",
    "add milk",
    "list",
    'call create_todo {"title": "tea", "due_at": "2026-02-30"}',
    'call create_todo {"title": "tea"}',
    'call list_todos {"limit": 1e400}',
    "call list_todos {}",
    "call update_todo {}",
    "call read_screen {}",
    "call ask_user {}",
    'call show_card {"text": "\\ud800 x"}',
    "call nothing {}",
)
_ODD_TEXTS = (
    "", "\0", "\ud800", "\udc00\ud800", "a\u0301\u202e\u200b", "𐍈\U0010ffff", "x" * 300, "x" * 20_000, "é" * 12_000, "\r\n\t\x07\x1b[2J",
    "../../etc/passwd", "' OR 1=1 --", "%s%n{0}{user.name}", "<script>alert(1)</script>", "null", "NaN", "-1", "1e999", "\ufeff",
    "](https://evil.net/?q=" + "a" * 500, "[" * 2000, "&#" * 500, "\\" * 999,
)  # fmt: skip
_ODD_VALUES = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, 1e308, -0.0, [], {}, [[]], {"": None}, [None], {"type": None},
    {"__proto__": {"x": 1}}, ["x"] * 101, {str(number): number for number in range(101)},
)  # fmt: skip
_HEADERS = (
    {"content-type": "text/plain"},
    {"content-type": "application/json; charset=utf-16"},
    {"content-type": "APPLICATION/JSON;x=\x7f"},
    {"content-type": "multipart/form-data"},
    {"content-type": ""},
    {"accept-encoding": "gzip"},
    {"accept-encoding": "gzip;q=0, *;q=NaN"},
    {"accept-language": "x" * 5000},
    {"accept-language": ",;=\xff"},
    {"accept": "image/png"},
    {"origin": "https://evil.net"},
    {"origin": "https://app.example.com"},
    {"x-request-id": "\xff" * 50},
    {"x-forwarded-for": "not an address", "forwarded": "for=_"},
    {"cookie": "chatrack_session=" + "x" * 3000},
    {"content-encoding": "gzip"},
    {"range": "bytes=0-"},
    {"expect": "200-fine"},
)
_PATHS = (
    "/", "/health", "/ready", "/schema", "/x/", "/x/stage", "/chatkit/api/", "/chatkit/api/files/x", "/chatkit//api", "/chatkit/api?x=%00",
    "/%00", "/%ff", "/%2e%2e/%2e%2e/etc/passwd", "/" + "a" * 5000, "/chatkit/api/upload",
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A request to the server.

    Args:
        method: the method.
        path: the path.
        credentials: one of `CREDENTIALS`.
        headers: more headers.
        body: a value that is sent as JSON, with ids to be filled in, or bytes.
        read: the bytes of the response after which the client hangs up; None if it reads all.
    """

    method: str
    path: str
    credentials: str
    headers: dict[str, str]
    body: Any
    read: int | None


def nested(depth: int) -> Any:
    """Return a value of that depth."""
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


_odd = st.one_of(
    st.sampled_from(_ODD_VALUES).map(copy.deepcopy),
    st.sampled_from(_ODD_TEXTS),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec=None), max_size=20),
    st.builds(nested, st.sampled_from([3, 60, 70, 200])),
)


def _ids(kind: str) -> st.SearchStrategy[str]:
    # `§thread:3` stands for the id of a thread that exists, and `§item:3` for that of an item in that thread.
    existing = st.integers(0, 50).map(lambda number: f"§{kind}:{number}")
    unknown = st.sampled_from(["thr_x", "msg_x", "", "thr_" + "0" * 32, "x" * 300, "§thread:1", "§item:1"])
    return st.one_of(*[existing] * 7, unknown)


def _texts(name: str) -> st.SearchStrategy[str]:
    if name in _KINDS:
        return _ids(_KINDS[name])
    if name == "after":
        return st.one_of(_ids("item"), _ids("thread"))
    if name == "text":
        return st.one_of(st.sampled_from(_COMMANDS), st.sampled_from(_COMMANDS), st.sampled_from(_ODD_TEXTS))
    if name == "type":
        return st.sampled_from(["stage.echo", "stage.none", "x"])
    if name == "model":
        return st.sampled_from(["demo", "demo", "gpt", ""])
    if name in {"id", "q"}:
        return st.sampled_from(["q1", "q2", "list_todos", "x"])
    return st.one_of(st.text(max_size=20), st.sampled_from(_ODD_TEXTS))


def of_schema(
    schema: Any, name: str, definitions: dict[str, Any], *, chooses: bool = False
) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a JSON schema.

    Args:
        schema: the schema.
        name: the name of the field that it is of.
        definitions: the schemas that it may refer to.
        chooses: whether options are chosen, which mostly are left out.
    """
    if schema is True or not schema:
        return _odd
    if "$ref" in schema:
        return st.deferred(
            lambda: of_schema(definitions[schema["$ref"].rpartition("/")[2]], name, definitions)
        )
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return st.one_of([of_schema(option, name, definitions) for option in options])
    match schema.get("type"):
        case "string":
            return _texts(name)
        case "integer":
            return st.integers(-1, 120)
        case "number":
            return st.floats(0, 100)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array" if name == "attachments":
            return st.just([]) | st.just([]) | st.just([]) | st.lists(_ids("item"), max_size=2)
        case "array":
            return st.lists(of_schema(schema.get("items"), name, definitions), max_size=3)
        case "object" if schema.get("title") == "InferenceOptions" and not chooses:
            sound = of_schema(schema, name, definitions, chooses=True)
            return st.just({}) | st.just({}) | st.just({}) | sound
        case "object" if "properties" in schema:
            fields = {
                field: of_schema(value, field, definitions) for field, value in schema["properties"].items()
            }
            required = {"type", *schema.get("required", ())}
            return st.fixed_dictionaries(
                {field: value for field, value in fields.items() if field in required},
                optional={field: value for field, value in fields.items() if field not in required},
            )
        case "object":
            values = of_schema(schema.get("additionalProperties"), name, definitions)
            return st.dictionaries(st.sampled_from(["q1", "q2", "k", ""]), values, max_size=3)
    return _odd


class _Schema(GenerateJsonSchema):
    ignored_warning_kinds: ClassVar[set[Any]] = {"skipped-choice", "non-serializable-default"}


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a class or union of ChatKit."""
    return TypeAdapter(kind).json_schema(schema_generator=_Schema)


def _sound(kind: type[Any]) -> st.SearchStrategy[Any]:
    schema = json_schema(kind)
    return of_schema(schema, "", schema.get("$defs", {}))


_OFTEN = (wire.ThreadsCreateReq, wire.ThreadsAddUserMessageReq)
SOUND = st.one_of(
    [
        _sound(kind)
        for kinds in (get_args(wire.StreamingReq), get_args(wire.NonStreamingReq), _OFTEN * 5)
        for kind in kinds
    ]
)
"""The JSON of requests that ChatKit's models accept."""


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return all containers in a value, with all their keys."""
    found: list[tuple[Any, Any]] = []
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        found.append((value, key))
        found += _places(member)
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Return a request with some of its values replaced, removed, renamed or added."""
    value = json.loads(json.dumps(draw(SOUND)))
    for _ in range(draw(st.integers(1, 4))):
        places = _places(value)
        if not places:
            break
        container, key = (
            draw(st.sampled_from(places))
            if len(places) == 1
            else places[draw(st.integers(0, len(places) - 1))]
        )
        match draw(st.sampled_from(["replace", "replace", "remove", "rename", "add", "wrap"])):
            case "replace":
                container[key] = draw(_odd)
            case "remove":
                del container[key]
            case "rename" if isinstance(container, dict):
                container[draw(st.sampled_from(_ODD_TEXTS))] = container.pop(key)
            case "add" if isinstance(container, dict):
                container[draw(st.sampled_from(["type", "id", "params", "extra", ""]))] = draw(_odd)
            case "wrap":
                container[key] = [container[key]]
    return value


@st.composite
def raw_bodies(draw: st.DrawFn) -> bytes:
    """Return bytes that are nearly the JSON of a request, or not at all."""
    data = json.dumps(draw(SOUND)).encode()
    start = draw(st.integers(0, len(data)))
    match draw(st.sampled_from(["cut", "insert", "prefix", "random", "deep"])):
        case "cut":
            return data[:start]
        case "insert":
            return data[:start] + draw(st.binary(min_size=1, max_size=4)) + data[start:]
        case "prefix":
            return draw(st.sampled_from([b"\xef\xbb\xbf", b"\0", b"\x1f\x8b", b"[", b" " * 2000])) + data
        case "random":
            return draw(st.binary(max_size=100))
    return b'{"type":"threads.list","params":' + b"[" * draw(st.sampled_from([10, 1000, 100_000]))


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Return a request: mostly one that comes as far as the server's own code."""
    odds = draw(st.integers(0, 99))
    method, path, headers, body = "POST", "/chatkit/api", {}, None
    if odds < 50:
        body = draw(SOUND)
    elif odds < 80:
        body = draw(mutated())
    elif odds < 86:
        body = draw(raw_bodies())
    elif odds < 94:
        body, headers = draw(SOUND), draw(st.sampled_from(_HEADERS))
    else:
        method = draw(st.sampled_from(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST", "FOO"]))
        path, body = draw(st.sampled_from([*_PATHS, path])), draw(st.one_of(st.none(), SOUND))
    credentials = "ada" if draw(st.integers(0, 9)) < 6 else draw(st.sampled_from(CREDENTIALS))
    read = draw(st.sampled_from([0, 1, 200])) if draw(st.integers(0, 49)) == 0 else None
    return Call(method, path, credentials, headers, body, read)
