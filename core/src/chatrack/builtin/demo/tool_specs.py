"""What tools and handoffs offer, read from their names and JSON schemas."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from agents import FunctionTool, Handoff, Tool

_SYNONYMS = {"add": "create", "finish": "complete", "remove": "delete", "rename": "update"}


class _Schema(msgspec.Struct, rename={"any_of": "anyOf"}):
    """The part of a JSON schema that is used."""

    type: str | list[str] = ""
    any_of: list[Any] = []
    default: Any = msgspec.UNSET
    properties: dict[str, "_Schema"] = {}
    required: list[str] = []


class ToolSpec(NamedTuple):
    """A tool or a handoff.

    Args:
        name: the name to call it by.
        words: the words that ask for it.
        parameters: the names of all parameters.
        required: the JSON types of those that a call needs, by name.
    """

    name: str
    words: list[str]
    parameters: Sequence[str] = ()
    required: Mapping[str, str] = {}

    @property
    def action(self) -> str:
        """What the tool does: the verb that its name begins with, or the usual synonym of it."""
        return _SYNONYMS.get(self.words[0], self.words[0])

    @property
    def noun(self) -> str:
        """What the tool works on: the other words, in the singular."""
        return " ".join(self.words[1:]).removesuffix("s")


def tool_specs(tools: Sequence[Tool], handoffs: Sequence[Handoff[Any, Any]]) -> list[ToolSpec]:
    """Return what can be called. Hosted tools are left out: there is no provider here to run them."""
    specs = [_tool_spec(tool) for tool in tools if isinstance(tool, FunctionTool)]
    return specs + [
        ToolSpec(handoff.tool_name, words_in(f"talk to {handoff.agent_name}")) for handoff in handoffs
    ]


def words_in(name: str) -> list[str]:
    """Return the words of a name, in lower case; at least one."""
    return re.findall(r"[^\W_]+", name.lower()) or [name]


def _tool_spec(tool: FunctionTool) -> ToolSpec:
    try:
        schema = msgspec.convert(tool.params_json_schema, _Schema)
    except msgspec.ValidationError:
        schema = _Schema()  # an odd schema: the tool can still be called with JSON
    required = {}
    for name, parameter in schema.properties.items():
        # Strict schemas require all parameters and drop a default of None: what may be null can be left out.
        optional = parameter.default is not msgspec.UNSET or {"type": "null"} in parameter.any_of
        if name in schema.required and not optional:
            required[name] = str(parameter.type)
    return ToolSpec(tool.name, words_in(tool.name), list(schema.properties), required)
