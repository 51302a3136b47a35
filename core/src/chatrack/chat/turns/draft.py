"""An item that is still being streamed, as it would be stored right now."""

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

from chatrack.chat.turns.text_delta import TextDelta, delta_prefix, encode_delta


class ItemDraft:
    """Applies the updates of one item.

    Args:
        item: the item as it was added; not changed.
    """

    def __init__(self, item: ThreadItem) -> None:
        self.dirty = True
        """Whether the last checkpoint lacks something."""
        self._item = item.model_copy(deep=True)
        # Deltas by content part, joined when needed: appending to a long string copies it each time.
        self._deltas: dict[int, list[str]] = {}
        self._prefixes: dict[int, bytes] = {}

    def append(self, delta: TextDelta) -> bytes:
        """Append streamed text, and return the event to send."""
        index = delta.content_index
        deltas = self._deltas.get(index)
        if deltas is None:
            deltas = self._deltas[index] = []
        deltas.append(delta.text)
        self.dirty = True
        prefix = self._prefixes.get(index)
        if prefix is None:
            prefix = self._prefixes[index] = delta_prefix(delta.item_id, index)
        return encode_delta(prefix, delta.text)

    def apply(self, update: ThreadItemUpdate) -> None:
        """Apply an update. Only messages and workflows are stored before they are complete; others are ignored."""
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
        """Return the item as it stands, or None if it is still empty."""
        item = self._item
        if isinstance(item, AssistantMessageItem):
            for index, deltas in self._deltas.items():
                self._part(index).text += "".join(deltas)
            self._deltas.clear()
            return item if any(part.text.strip() for part in item.content) else None
        if isinstance(item, WorkflowItem):
            # This may be the last state that is stored, and no task goes on after that.
            return finish_tasks(item) if item.workflow.tasks else None
        return None

    def count_characters(self) -> int:
        """Return the length of a message's text; 0 for other items."""
        if not isinstance(self._item, AssistantMessageItem):
            return 0
        parts = sum(len(part.text) for part in self._item.content)
        return parts + sum(len(delta) for deltas in self._deltas.values() for delta in deltas)

    def _part(self, index: int) -> AssistantMessageContent:
        assert isinstance(self._item, AssistantMessageItem)
        content = self._item.content
        while len(content) <= index:
            content.append(AssistantMessageContent(text=""))
        return content[index]


def finish_tasks(item: WorkflowItem) -> WorkflowItem:
    """Return a workflow in which no task is loading any more; a task that was is not shown as complete."""
    tasks = [
        task.model_copy(update={"status_indicator": "none"}) if task.status_indicator == "loading" else task
        for task in item.workflow.tasks
    ]
    return item.model_copy(update={"workflow": item.workflow.model_copy(update={"tasks": tasks})})
