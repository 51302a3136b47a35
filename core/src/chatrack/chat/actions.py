"""Custom actions: a click in a widget or in the page, handled by a plugin."""

from collections.abc import AsyncGenerator, Mapping

from chatkit.types import (
    SyncCustomActionResponse,
    ThreadItem,
    ThreadItemReplacedEvent,
    ThreadsCustomActionReq,
    ThreadsSyncCustomActionReq,
    ThreadStreamEvent,
    WidgetItem,
)

from chatrack.chat.errors import RESTARTING
from chatrack.chat.turns.handler import TurnHandler
from chatrack.chat.turns.session import TurnSession
from chatrack.chat.turns.turn import Turn
from chatrack.errors import BadRequest, RequestError, Unavailable
from chatrack.interfaces import ActionCall, ActionHandler, RequestContext, Store
from chatrack.interfaces.records import dump, is_hidden


class CustomActionHandler(TurnHandler):
    """Calls the plugin's handler of an action; the item that it returns replaces one of the thread.

    Args:
        call: the action, and the widget that was clicked.
        action: the plugin's handler.
    """

    def __init__(self, call: ActionCall, action: ActionHandler) -> None:
        self._call = call
        self._action = action
        self._item: ThreadItem | None = None

    async def events(self, session: TurnSession) -> AsyncGenerator[ThreadStreamEvent]:
        """Call the plugin's handler, and yield the item that it returns."""
        item = await self._action(session.tool_context, self._call)
        if item is not None:
            self._item = session.writer.normalize_item(item)
            yield ThreadItemReplacedEvent(item=self._item)

    def sync_response(self, turn: Turn) -> bytes:
        """Return the JSON that answers a sync action: the item that the plugin returned.

        Args:
            turn: the action's turn, which has ended.

        Raises:
            RequestError: the action was refused, or failed.
        """
        if turn.cancel_reason == "shutdown":
            raise Unavailable(RESTARTING, retry_after=5)
        if turn.outcome != "completed":
            raise turn.error if isinstance(turn.error, RequestError) else RequestError("The action failed.")
        item = None if self._item is None or is_hidden(self._item) else self._item
        return dump(SyncCustomActionResponse(updated_item=item)).encode()


async def find_action(
    request: ThreadsCustomActionReq | ThreadsSyncCustomActionReq,
    context: RequestContext,
    *,
    store: Store,
    actions: Mapping[str, ActionHandler],
) -> CustomActionHandler:
    """Return the handler of an action, with the widget that was clicked.

    Args:
        request: the request.
        context: the user.
        store: where the widget is.
        actions: the plugins' handlers, by action type.

    Raises:
        NotFound: there is no such item.
        BadRequest: the item is not a widget, or no enabled plugin handles the action.
    """
    params = request.params
    sender = None
    if params.item_id:
        item = await store.load_item(params.thread_id, params.item_id, context)
        if not isinstance(item, WidgetItem):
            raise BadRequest("Only a widget sends actions.", field="params.item_id")
        sender = item
    action = actions.get(params.action.type)
    if action is None:
        raise BadRequest("This server has no action of this type.", field="params.action.type")
    call = ActionCall(type=params.action.type, payload=params.action.payload, sender=sender)
    return CustomActionHandler(call, action)
