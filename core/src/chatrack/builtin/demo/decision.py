"""What the demo model can do next: say something, or call tools."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec


class Say(msgspec.Struct, frozen=True):
    """Answer the user.

    Args:
        text: the answer, in Markdown.
    """

    text: str


class Call(msgspec.Struct, frozen=True):
    """Call a tool, or hand over to another agent.

    Args:
        name: the name of the tool.
        arguments: what to call it with.
    """

    name: str
    arguments: Mapping[str, Any] = {}


class Calls(msgspec.Struct, frozen=True):
    """Call several tools at once.

    Args:
        calls: the calls, in order.
    """

    calls: Sequence[Call]


Decision: TypeAlias = Say | Call | Calls
