"""Checks common to both APIs: parameter names and types, tools, ids. Each raises `RefusedError`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.fake_openai.refusal import RefusedError

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]+")
MAX_TOOL_NAME = 64

_JSON_NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def json_name(value: Any) -> str:
    """Return the JSON type of a value as OpenAI's messages name it."""
    return _JSON_NAMES[type(value)]


def wrong_type(param: str, expected: str, value: Any) -> RefusedError:
    """Return the refusal of a value whose type is not `expected` (e.g. ``a string``)."""
    return RefusedError(
        f"Invalid type for '{param}': expected {expected}, but got {json_name(value)} instead.",
        param,
        "invalid_type",
    )


def missing(param: str) -> RefusedError:
    """Return the refusal of a request that lacks a parameter."""
    return RefusedError(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def unknown_value(param: str, value: Any, supported: list[str]) -> RefusedError:
    """Return the refusal of a value that is not one of those supported."""
    quoted = [f"'{name}'" for name in supported]
    listed = quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f", and {quoted[-1]}"
    return RefusedError(f"Invalid value: '{value}'. Supported values are: {listed}.", param, "invalid_value")


def empty_array(param: str) -> RefusedError:
    """Return the refusal of an array without elements."""
    return RefusedError(
        f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array "
        "instead.",
        param,
        "empty_array",
    )


def check_type(param: str, value: Any, types: tuple[type, ...]) -> None:
    """Refuse a value whose JSON type is not in `types`; an integer is a decimal too."""
    kind = type(value)
    if kind in types or (kind is int and float in types):
        return
    names = [_JSON_NAMES[t] for t in types if t is not type(None)]
    expected = names[0] if len(names) == 1 else "one of " + " or ".join(names)
    raise wrong_type(param, expected, value)


def check_known(body: Mapping[str, Any], types: Mapping[str, tuple[type, ...]], path: str = "") -> None:
    """Refuse unknown parameters, and values of a type other than in `types`; null is allowed."""
    for name, value in body.items():
        param = path + name
        if name not in types:
            raise RefusedError(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
        if value is not None:
            check_type(param, value, types[name])


def check_string(param: str, value: Any, *, longest: int, shortest: int = 0) -> str:
    """Return a string of `shortest` to `longest` characters; refuse anything else."""
    if type(value) is not str:
        raise wrong_type(param, "a string", value)
    if len(value) < shortest:
        raise RefusedError(
            f"Invalid '{param}': empty string. Expected a string with minimum length {shortest}, but got an "
            "empty string instead.",
            param,
            "empty_string",
        )
    if len(value) > longest:
        raise RefusedError(
            f"Invalid '{param}': string too long. Expected a string with maximum length {longest}, but got a "
            f"string with length {len(value)} instead.",
            param,
            "string_above_max_length",
        )
    return value


def check_function(param: str, function: Mapping[str, Any]) -> str:
    """Return the name of a function; refuse a malformed declaration.

    Of a schema only the mandatory parts are checked; of a strict one also that its top level allows no
    additional properties and requires every property.
    """
    if function.get("name") is None:
        raise missing(f"{param}.name")
    name = check_string(f"{param}.name", function["name"], longest=MAX_TOOL_NAME, shortest=1)
    if not TOOL_NAME.fullmatch(name):
        raise RefusedError(
            f"Invalid '{param}.name': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-zA-Z0-9_-]+$'.",
            f"{param}.name",
            "invalid_value",
        )
    schema = function.get("parameters")
    if schema is not None:
        check_type(f"{param}.parameters", schema, (dict,))
        problem = ""
        if schema and schema.get("type") != "object":
            problem = (
                f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'"
            )
        elif function.get("strict") is True and schema.get("additionalProperties") is not False:
            problem = "In context=(), 'additionalProperties' is required to be supplied and to be false"
        elif function.get("strict") is True and set(schema.get("properties", {})) != set(
            schema.get("required", [])
        ):
            problem = (
                "In context=(), 'required' is required to be supplied and to be an array including every key "
                "in properties"
            )
        if problem:
            raise RefusedError(
                f"Invalid schema for function '{name}': {problem}.",
                f"{param}.parameters",
                "invalid_function_parameters",
            )
    return name


def check_unique(names: list[str]) -> None:
    """Refuse two tools with the same name."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise RefusedError(
                f"Duplicate tool name '{name}'. Tool names must be unique.",
                f"tools[{index}].name",
                "invalid_value",
            )
        seen.add(name)


def check_choice(choice: Any, named: str | None, names: list[str]) -> None:
    """Refuse a `tool_choice` that is an unknown word, or names (`named`) a tool that is not offered."""
    if type(choice) is str and choice not in ("none", "auto", "required"):
        raise unknown_value("tool_choice", choice, ["none", "auto", "required"])
    if named is not None and named not in names:
        raise RefusedError(f"Tool choice '{named}' not found in 'tools' parameter.", "tool_choice")
