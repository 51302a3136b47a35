"""What an agent offers its model: tools and ways to other agents, as far as their schemas tell."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from agents import FunctionTool, Handoff, Tool

_TITLES = ("title", "name", "text", "content", "summary", "subject", "message", "query", "description")
_RANGE = re.compile(r"(-?\d{1,9})\s*(?:\([^)]*\)\s*)?(?:to|-|\u2013|\.\.+|…)\s*(-?\d{1,9})")


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of a tool.

    Args:
        name: its name.
        types: JSON types it may have, without `null`.
        values: the values it may have, if the schema lists them.
        needed: whether a call without it is refused.
        bounds: the smallest and the largest number, if the schema or the description says so.
    """

    name: str
    types: Sequence[str]
    values: Sequence[str]
    needed: bool
    bounds: tuple[int, int] | None

    @property
    def is_text(self) -> bool:
        """Whether any text will do."""
        return "string" in self.types and not self.values

    @property
    def is_id(self) -> bool:
        """Whether it names a thing by an id."""
        return self.name == "id" or self.name.endswith("_id")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Something the model can call.

    Args:
        name: what it is called by.
        properties: its arguments, by name.
        agent: the agent that it leads to, if it leads to one.
    """

    name: str
    properties: Mapping[str, Property]
    agent: str | None = None

    @property
    def words(self) -> list[str]:
        """The words of the name, in lower case."""
        return [word for word in re.split(r"[^a-z0-9]+", self.name.lower()) if word]

    @property
    def nouns(self) -> set[str]:
        """What it is about: the words after the first, in the singular."""
        return {singular(word) for word in self.words[1:]}

    @property
    def needed(self) -> list[Property]:
        """The arguments that it cannot do without."""
        return [argument for argument in self.properties.values() if argument.needed]

    @property
    def text(self) -> Property | None:
        """The argument that takes what the user said: a needed text, such as a title."""
        texts = [argument for argument in self.properties.values() if argument.is_text and not argument.is_id]
        pool = [argument for argument in texts if argument.needed] or texts
        named = [argument for name in _TITLES for argument in pool if argument.name == name]
        return next(iter([*named, *(argument for argument in pool if argument.needed)]), None)

    @property
    def id(self) -> Property | None:
        """The argument that says which thing is meant, if it is one by id."""
        return next((argument for argument in self.needed if argument.is_id), None)


def singular(word: str) -> str:
    """Give an English noun in the singular, well enough to compare two of them."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def offers(tools: Sequence[Tool], handoffs: Sequence[Handoff[Any, Any]]) -> list[Offer]:
    """List what can be called. Tools that the provider runs itself are left out: there is none here to run them."""
    found = [
        Offer(name=tool.name, properties=_properties(tool.params_json_schema))
        for tool in tools
        if isinstance(tool, FunctionTool)
    ]
    found += [Offer(name=one.tool_name, properties={}, agent=one.agent_name) for one in handoffs]
    return found


def _properties(schema: object) -> dict[str, Property]:
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties"), Mapping):
        return {}
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    shared = schema.get("$defs")
    shared = shared if isinstance(shared, Mapping) else {}
    return {
        str(name): _property(str(name), one, name in required, shared)
        for name, one in schema["properties"].items()
        if isinstance(one, Mapping)
    }


def _property(name: str, schema: Mapping[str, Any], required: bool, shared: Mapping[str, Any]) -> Property:
    choices = [_resolved(one, shared) for one in _choices(schema)]
    kinds = [str(kind) for one in choices for kind in _listed(one.get("type"))]
    values = [str(value) for one in choices for value in _listed(one.get("enum", one.get("const")))]
    for one in choices:
        # `^(pending|completed)$` lists its values as well as an enum does.
        pattern = one.get("pattern")
        if (
            isinstance(pattern, str)
            and re.fullmatch(r"\^?\(?(?:\?:)?[\w|]+\)?\$?", pattern)
            and "|" in pattern
        ):
            values += re.findall(r"\w+", pattern.replace("?:", ""))
    # A strict schema calls every argument required, and drops a default of null; the function behind it still
    # has its defaults. So an argument that may be null is taken for one that can be left out.
    needed = required and "default" not in schema and "null" not in kinds
    return Property(
        name=name,
        types=[kind for kind in kinds if kind != "null"],
        values=[value for value in values if value != "None"],
        needed=needed,
        bounds=_bounds([schema, *choices], str(schema.get("description", ""))),
    )


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            return [one for one in schema[key] if isinstance(one, Mapping)]
    return [schema]


def _resolved(schema: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    target = shared.get(str(schema.get("$ref", "")).rpartition("/")[2])
    return target if isinstance(target, Mapping) else schema


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _bounds(schemas: Sequence[Mapping[str, Any]], description: str) -> tuple[int, int] | None:
    for one in schemas:
        low, high = one.get("minimum"), one.get("maximum")
        if isinstance(low, int) and isinstance(high, int):
            return low, high
    said = _RANGE.search(description)
    return (int(said[1]), int(said[2])) if said and int(said[1]) < int(said[2]) else None
