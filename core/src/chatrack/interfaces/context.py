"""What a request and a turn know."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec
from chatkit.types import ProgressUpdateEvent, ThreadMetadata, ThreadStreamEvent
from chatkit.widgets import WidgetRoot

from chatrack.ids import new_id
from chatrack.interfaces.user import User


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one request; every store method takes it.

    Args:
        user: who is asking.
        request_id: `req_…`, in every log line and error of the request.
        locale: the language the client prefers (`Accept-Language`), if it said.
    """

    user: User
    request_id: str
    locale: str | None = None


class TurnContext:
    """What tools and actions get as `ctx.context`: the user, the thread, and a way to show something.

    Args:
        request: the request that began the turn.
        thread: the thread the turn runs in; a snapshot, changes to it are not stored.
        turn_id: `trn_…`.
        emit: stores and sends one event.
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
        """Who is asking."""
        return self.request.user

    async def stream(self, event: ThreadStreamEvent) -> None:
        """Send an event into the thread. Items in it are stored by the turn; nobody else stores items.

        Args:
            event: any ChatKit event; hidden context items are stored and not sent.

        Raises:
            LeaseLost: the turn no longer owns the thread.
        """
        await self._emit(event)

    async def progress(self, text: str) -> None:
        """Show the user in a few words what is going on; nothing is stored."""
        await self._emit(ProgressUpdateEvent(text=text))

    async def stream_widget(
        self, widget: WidgetRoot | AsyncGenerator[WidgetRoot, None], copy_text: str | None = None
    ) -> None:
        """Show a widget, or a widget that grows as the generator yields.

        Args:
            widget: the widget, or its successive states.
            copy_text: what the user copies when copying the widget.
        """
        from chatkit.server import stream_widget  # late: loads the Agents SDK

        async for event in stream_widget(self.thread, widget, copy_text, new_id):
            await self._emit(event)
