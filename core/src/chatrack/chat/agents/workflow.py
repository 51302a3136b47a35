"""What the user is shown of the work before an answer: thoughts, tools and searches, as ChatKit's workflows."""

import time
from typing import Any, ClassVar

import msgspec
from chatkit.types import (
    CustomTask,
    DurationSummary,
    FileSource,
    FileTask,
    ImageTask,
    SearchTask,
    Task,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from chatrack.chat.turns.text_delta import sanitize_json, sanitize_text
from chatrack.clock import now
from chatrack.ids import new_id

PROGRESS = '{"progress":true}'
"""The origin of the items made here: the model has its own record of what they tell."""

Events = tuple[ThreadStreamEvent, ...]

_LONGEST = 20_000
"""So many characters of one thought are shown."""


class _Thought(msgspec.Struct):
    index: int
    parts: list[str]
    size: int = 0
    sent: int = 0


class Progress:
    """The workflow that is being shown, if any. It ends when the model begins to speak.

    Args:
        thread_id: the thread.
        tools: whether calls of tools are shown.
        reasoning: whether the model's reasoning is.
        provider_metadata: receives the origin of every workflow, by its id.
    """

    def __init__(
        self, thread_id: str, *, tools: bool, reasoning: bool, provider_metadata: dict[str, str]
    ) -> None:
        self._thread_id = thread_id
        self._tools = tools
        self._reasoning = reasoning
        self._provider_metadata = provider_metadata
        self._item: WorkflowItem | None = None
        self._began = 0.0
        self._thoughts: dict[tuple[str, int, int], _Thought] = {}
        self._ended: set[tuple[str, int, int]] = set()
        """The thoughts that the model had not said to be complete when it began to speak."""
        self._tasks: dict[str, int] = {}
        """The tasks that wait for a result, by the id of their call."""

    # -- reasoning -----------------------------------------------------------------------------------------

    def think(self, key: tuple[str, int, int], text: str) -> Events:
        """Show some more of a thought.

        Args:
            key: which thought: its kind, its output index and its place in that.
            text: what it goes on with.
        """
        if not self._reasoning or not text:
            return ()
        thought = self._thoughts.get(key)
        if thought is None:
            if not text.strip():
                return ()
            events = self._add(self._thought(text, loading=True), kind="reasoning")
            index = self._last
            self._thoughts[key] = _Thought(index, [text], len(text), len(text))
            return events
        thought.parts.append(text)
        thought.size += len(text)
        # A task has no deltas: it is sent whole each time, and so only after it has grown by a quarter.
        if thought.size < thought.sent * 1.25 + 20 or thought.sent >= _LONGEST:
            return ()
        thought.sent = thought.size
        return self._update(thought.index, self._thought("".join(thought.parts), loading=True))

    def thought(self, key: tuple[str, int, int], text: str) -> Events:
        """Show a thought that is complete."""
        begun = self._thoughts.pop(key, None)
        if key in self._ended:  # it was shown before the answer, up to there
            self._ended.remove(key)
            text = "" if begun is None else "".join(begun.parts)
        if not self._reasoning or not text.strip():
            return ()
        if begun is None:
            return self._add(self._thought(text), kind="reasoning")
        return self._update(begun.index, self._thought(text))

    @staticmethod
    def _thought(text: str, *, loading: bool = False) -> ThoughtTask:
        shown = sanitize_text(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
        return ThoughtTask(content=shown, status_indicator="loading" if loading else "complete")

    def response_begins(self) -> None:
        """Forget the thoughts of the response before: the next one numbers its own from the beginning."""
        self._ended.clear()
        self._thoughts.clear()

    # -- tools ---------------------------------------------------------------------------------------------

    def call(self, call_id: str, name: str) -> Events:
        """Show that a tool is called.

        Args:
            call_id: the call.
            name: the name of the tool.
        """
        if not self._tools:
            return ()
        events = self._add(CustomTask(title=_words(name), icon="bolt", status_indicator="loading"))
        self._tasks[call_id] = self._last
        return events

    def result(self, call_id: str) -> Events:
        """Show that a tool has given its result."""
        index = self._tasks.pop(call_id, None)
        if index is None or self._item is None:
            return ()
        task = self._item.workflow.tasks[index]
        return self._update(index, task.model_copy(update={"status_indicator": "complete"}))

    def hosted(self, item: Any, *, done: bool) -> Events:
        """Show a tool that the provider runs.

        Args:
            item: the model's item: a search, a picture, code.
            done: whether it has come to its end.
        """
        maker = self._HOSTED.get(item.type)
        if not self._tools or maker is None:
            return ()
        task = maker(item).model_copy(update={"status_indicator": "complete" if done else "loading"})
        index = self._tasks.pop(item.id, None) if done else None
        if index is not None:
            return self._update(index, task)
        events = self._add(task)
        if not done:
            self._tasks[item.id] = self._last
        return events

    _HOSTED: ClassVar[dict[str, Any]] = {
        "web_search_call": lambda item: _search(item),  # noqa: PLW0108  (defined below)
        "file_search_call": lambda item: _files(item),  # noqa: PLW0108  (as above)
        "code_interpreter_call": lambda item: CustomTask(title="Running code", icon="square-code"),
        "image_generation_call": lambda item: ImageTask(title="Generating an image"),
        "mcp_call": lambda item: CustomTask(title=_words(item.name), icon="bolt"),
    }

    # -- the workflow --------------------------------------------------------------------------------------

    def end(self) -> Events:
        """End the workflow: the model begins to speak, or the turn is over."""
        item, self._item = self._item, None
        thoughts, self._thoughts = self._thoughts, {}
        self._tasks.clear()
        if item is None:
            return ()
        for thought in thoughts.values():  # the last of it may not have been sent yet
            item.workflow.tasks[thought.index] = self._thought("".join(thought.parts))
        self._ended.update(thoughts)
        workflow = settled(item).workflow.model_copy(
            update={"summary": DurationSummary(duration=round(time.monotonic() - self._began))}
        )
        return (ThreadItemDoneEvent(item=item.model_copy(update={"workflow": workflow})),)

    @property
    def _last(self) -> int:
        assert self._item is not None
        return len(self._item.workflow.tasks) - 1

    def _add(self, task: Task, *, kind: str = "custom") -> Events:
        if self._item is None:
            self._began = time.monotonic()
            self._item = WorkflowItem(
                id=new_id("workflow"),
                thread_id=self._thread_id,
                created_at=now(),
                workflow=Workflow(type="reasoning" if kind == "reasoning" else "custom", tasks=[task]),
            )
            self._provider_metadata[self._item.id] = PROGRESS
            return (ThreadItemAddedEvent(item=self._item.model_copy(deep=True)),)
        self._item.workflow.tasks.append(task)
        update = WorkflowTaskAdded(task_index=self._last, task=task)
        return (ThreadItemUpdatedEvent(item_id=self._item.id, update=update),)

    def _update(self, index: int, task: Task) -> Events:
        if self._item is None:
            return ()
        self._item.workflow.tasks[index] = task
        update = WorkflowTaskUpdated(task_index=index, task=task)
        return (ThreadItemUpdatedEvent(item_id=self._item.id, update=update),)


def settled(item: WorkflowItem) -> WorkflowItem:
    """Give a workflow in which nothing is under way any more; what was is not said to be done."""
    tasks = [
        task.model_copy(update={"status_indicator": "none"}) if task.status_indicator == "loading" else task
        for task in item.workflow.tasks
    ]
    return item.model_copy(update={"workflow": item.workflow.model_copy(update={"tasks": tasks})})


def _words(name: str) -> str:
    """Give the name of a tool as people write: `create_todo` becomes `Create todo`."""
    words = " ".join(sanitize_text(name).replace("_", " ").replace("-", " ").split())[:80]
    return words[:1].upper() + words[1:]


def _search(item: Any) -> SearchTask:
    action = item.action if isinstance(item.action, dict) else item.action and item.action.model_dump()
    action = sanitize_json(action or {})
    query = next(
        (action[name] for name in ("query", "url", "pattern") if isinstance(action.get(name), str)), ""
    )
    sources = action.get("sources")
    found = [
        one.get("url") for one in (sources if isinstance(sources, list) else []) if isinstance(one, dict)
    ]
    urls = [url for url in found if isinstance(url, str) and url]
    return SearchTask(
        title="Searching the web",
        title_query=query[:200] or None,
        queries=[query[:200]] if query else [],
        sources=[URLSource(url=url, title=url) for url in urls][:50],
    )


def _files(item: Any) -> FileTask:
    names = [sanitize_text(one.filename) for one in item.results or [] if isinstance(one.filename, str)]
    return FileTask(
        title="Searching files", sources=[FileSource(filename=name, title=name) for name in names][:50]
    )
