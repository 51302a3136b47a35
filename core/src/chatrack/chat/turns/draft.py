"""An item that is still being streamed: what would be saved of it right now."""

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItem,
    ThreadItemUpdate,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from chatrack.chat.agents.workflow import settled
from chatrack.chat.turns.text_delta import TextDelta, delta_prefix


class ItemDraft:
    """Follows the updates of one item.

    Args:
        item: the item as it was added; not changed.
    """

    def __init__(self, item: ThreadItem) -> None:
        self.dirty = True
        """Whether there is something that the last checkpoint does not have."""
        self._item = item.model_copy(deep=True)
        # Deltas by content part, joined when needed: adding to a long string copies it each time.
        self._deltas: dict[int, list[str]] = {}
        self._openings: dict[int, bytes] = {}

    def add(self, piece: TextDelta) -> bytes:
        """Follow a piece of text; give the `delta_prefix` that it is sent with."""
        index = piece.content_index
        deltas = self._deltas.get(index)
        if deltas is None:
            deltas = self._deltas[index] = []
        deltas.append(piece.text)
        self.dirty = True
        begin = self._openings.get(index)
        if begin is None:
            begin = self._openings[index] = delta_prefix(piece.item_id, index)
        return begin

    def apply(self, update: ThreadItemUpdate) -> None:
        """Follow one update; those of kinds that are not saved half-done are ignored."""
        item = self._item
        if isinstance(item, AssistantMessageItem):
            if isinstance(update, AssistantMessageContentPartTextDelta):
                self._deltas.setdefault(update.content_index, []).append(update.delta)
                self.dirty = True
            elif isinstance(update, AssistantMessageContentPartAdded | AssistantMessageContentPartDone):
                self._part(update.content_index)
                item.content[update.content_index] = update.content.model_copy(deep=True)
                self._deltas.pop(update.content_index, None)
                self.dirty = True
            elif isinstance(update, AssistantMessageContentPartAnnotationAdded):
                self._part(update.content_index).annotations.append(update.annotation)
                self.dirty = True
        elif isinstance(item, WorkflowItem):
            tasks = item.workflow.tasks
            if isinstance(update, WorkflowTaskAdded):
                tasks.insert(update.task_index, update.task)
                self.dirty = True
            elif isinstance(update, WorkflowTaskUpdated) and update.task_index < len(tasks):
                tasks[update.task_index] = update.task
                self.dirty = True

    def snapshot(self) -> ThreadItem | None:
        """Give the item as far as it has come, or None if there is nothing in it yet."""
        item = self._item
        if isinstance(item, AssistantMessageItem):
            for index, deltas in self._deltas.items():
                self._part(index).text += "".join(deltas)
            self._deltas.clear()
            return item if any(part.text.strip() for part in item.content) else None
        if isinstance(item, WorkflowItem):
            # Nobody will say what became of a task, should this be the last that is saved.
            return settled(item) if item.workflow.tasks else None
        return None

    def _part(self, index: int) -> AssistantMessageContent:
        assert isinstance(self._item, AssistantMessageItem)
        content = self._item.content
        while len(content) <= index:
            content.append(AssistantMessageContent(text=""))
        return content[index]
