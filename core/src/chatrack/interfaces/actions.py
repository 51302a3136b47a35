"""Custom actions of widgets and of the page."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
from chatkit.types import ThreadItem, WidgetItem

from chatrack.interfaces.context import TurnContext


class ActionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of an action.

    Args:
        type: the action type, `<plugin>.<verb>`.
        payload: the payload from the client; check it before use.
        sender: the item of the widget that sent the action; None for an action of the page.
    """

    type: str
    payload: Any
    sender: WidgetItem | None


ActionHandler: TypeAlias = Callable[[TurnContext, ActionCall], Awaitable[ThreadItem | None]]
"""An async function that carries out an action. It may stream events through the context, and may return the item that
replaces the sender."""
