"""Actions: what a click in a widget or in the page asks the server to do."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
from chatkit.types import ThreadItem, WidgetItem

from chatrack.interfaces.context import TurnContext


class ActionCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of an action.

    Args:
        type: `<plugin>.<verb>`.
        payload: what the client sent; not to be trusted.
        sender: the widget that was clicked, or None for an action of the page.
    """

    type: str
    payload: Any
    sender: WidgetItem | None


ActionHandler: TypeAlias = Callable[[TurnContext, ActionCall], Awaitable[ThreadItem | None]]
"""Handles an action: may stream events through the context, and may return the item that replaces the sender."""
