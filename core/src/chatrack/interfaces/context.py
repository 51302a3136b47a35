"""The contexts of a request and of a turn."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
from chatkit.types import ProgressUpdateEvent, ThreadMetadata, ThreadStreamEvent
from chatkit.widgets import WidgetRoot

from chatrack.ids import new_id
from chatrack.interfaces.user import User


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """The context of a request. Store methods take it.

    Args:
        user: the user of the request.
        request_id: `req_…`, in every log line and error of the request.
        locale: the language tag of the user's language, or the one that the client prefers (`Accept-Language`); None
            if neither names a well-formed one.
        address: the network address that the request came from.
        agent: the entry agent, if the user's credentials are bound to one.
        state: what the user's credentials are bound to, for instructions (`{state.<name>}`) and tools.
    """

    user: User
    request_id: str
    locale: str | None = None
    address: str | None = None
    agent: str | None = None
    state: Mapping[str, Any] = {}


class TurnContext:
    """The context of a turn: the user, the thread, and methods that send events. Tools get it as `ctx.context`.

    Args:
        request: the request that started the turn.
        thread: the thread of the turn. It is a copy; changes to it are not stored.
        turn_id: `trn_…`.
        emit: stores and sends an event.
    """

    def __init__(
        self,
        *,
        request: RequestContext,
        thread: ThreadMetadata,
        turn_id: str,
        emit: Callable[[ThreadStreamEvent], Awaitable[None]],
    ) -> None:
        self.request = request
        self.thread = thread
        self.turn_id = turn_id
        self._emit = emit

    @property
    def user(self) -> User:
        """The user of the request."""
        return self.request.user

    async def stream(self, event: ThreadStreamEvent) -> None:
        """Send an event to the client. An item in the event is stored first.

        Args:
            event: any ChatKit event. Hidden context items are stored and not sent.

        Raises:
            LeaseLost: the turn no longer holds the thread.
        """
        await self._emit(event)

    async def progress(self, text: str) -> None:
        """Show a short status text to the user. It is not stored."""
        await self._emit(ProgressUpdateEvent(text=text))

    async def stream_widget(
        self, widget: WidgetRoot | AsyncGenerator[WidgetRoot, None], copy_text: str | None = None
    ) -> None:
        """Send a widget as an item of the thread.

        Args:
            widget: the widget, or a generator of its successive states.
            copy_text: the text that the user gets when copying the widget.
        """
        from chatkit.server import stream_widget  # late: loads the Agents SDK

        async for event in stream_widget(self.thread, widget, copy_text, new_id):
            await self._emit(event)
