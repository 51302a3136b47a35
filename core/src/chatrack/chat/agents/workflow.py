"""The work before an answer, as ChatKit's workflow items: reasoning, tool calls and searches."""

import time
from collections.abc import Sequence
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

from chatrack.chat.agents.link_filter import showable_text
from chatrack.chat.agents.link_judge import leads_to
from chatrack.chat.agents.sanitize import sanitize_json, sanitize_text
from chatrack.chat.turns.draft import finish_tasks
from chatrack.clock import now
from chatrack.ids import new_id

WORKFLOW_METADATA = '{"progress":true}'
"""Marks workflow items, in place of a provider's ids: no provider made them, and the model does not see them."""

Events = tuple[ThreadStreamEvent, ...]

ReasoningKey = tuple[str, int, int]
"""A part of a response's reasoning: its kind (`text` or `summary`), output index and index within that."""

MAX_REASONING_CHARACTERS = 20_000
"""The characters of one part of the reasoning that are shown."""

_MAX_SOURCES = 50


class _Reasoning(msgspec.Struct):
    task_index: int
    parts: list[str]
    size: int = 0  # characters so far
    sent: int = 0  # characters when it was last sent

    @property
    def text(self) -> str:
        return "".join(self.parts)


class WorkflowBuilder:
    """Builds one workflow item at a time. It is done when the model begins to answer.

    Args:
        thread_id: the thread.
        tools: whether tool calls are shown.
        reasoning: whether the model's reasoning is shown.
        provider_metadata: receives the metadata of every workflow item, by its id.
        link_hosts: the hosts that links may lead to; None for all.
    """

    def __init__(
        self,
        thread_id: str,
        *,
        tools: bool,
        reasoning: bool,
        provider_metadata: dict[str, str],
        link_hosts: Sequence[str] | None = None,
    ) -> None:
        self.plain = False
        """Whether to show nothing that a model wrote: of an agent whose text is checked before it is shown."""
        self._thread_id = thread_id
        self._show_tools = tools
        self._show_reasoning = reasoning
        self._provider_metadata = provider_metadata
        self._link_hosts = link_hosts
        self._item: WorkflowItem | None = None
        self._started = 0.0
        self._reasoning: dict[ReasoningKey, _Reasoning] = {}
        self._cut_short: set[ReasoningKey] = set()
        """Reasoning that was not complete when the model began to answer."""
        self._tasks: dict[str, int] = {}
        """The tasks that wait for a result, by the id of their call."""

    # -- reasoning -----------------------------------------------------------------------------------------

    def start_response(self) -> None:
        """Forget the reasoning of the previous response: the next one numbers its own from zero."""
        self._cut_short.clear()
        self._reasoning.clear()

    def reasoning_delta(self, key: ReasoningKey, text: str) -> Events:
        """Show more of a part of the reasoning."""
        if not self._show_reasoning or self.plain or not text:
            return ()
        reasoning = self._reasoning.get(key)
        if reasoning is None:
            if not text.strip():
                return ()
            events = self._add(self._thought(text, loading=True), kind="reasoning")
            self._reasoning[key] = _Reasoning(self._last_index, [text], len(text), len(text))
            return events
        reasoning.parts.append(text)
        reasoning.size += len(text)
        # ChatKit has no deltas for tasks: each update sends the whole text, so it waits until it grew by a quarter.
        if reasoning.size < reasoning.sent * 1.25 + 20 or reasoning.sent >= MAX_REASONING_CHARACTERS:
            return ()
        reasoning.sent = reasoning.size
        return self._update(reasoning.task_index, self._thought(reasoning.text, loading=True))

    def reasoning_done(self, key: ReasoningKey, text: str) -> Events:
        """Show a part of the reasoning that is complete."""
        reasoning = self._reasoning.pop(key, None)
        if key in self._cut_short:  # its beginning is in a finished workflow: show what came since
            self._cut_short.remove(key)
            text = "" if reasoning is None else reasoning.text
        if not self._show_reasoning or self.plain or not text.strip():
            return ()
        if reasoning is None:
            return self._add(self._thought(text), kind="reasoning")
        return self._update(reasoning.task_index, self._thought(text))

    # -- tools ---------------------------------------------------------------------------------------------

    def tool_call(self, call_id: str, name: str, *, known: bool) -> Events:
        """Show that a tool is called.

        Args:
            call_id: the id of the call.
            name: the tool's name, as the model wrote it.
            known: whether there is such a tool.
        """
        if not self._show_tools or (self.plain and not known):
            return ()
        title = showable_text(_humanize(name), self._link_hosts)
        events = self._add(CustomTask(title=title, icon="bolt", status_indicator="loading"))
        self._tasks[call_id] = self._last_index
        return events

    def tool_result(self, call_id: str) -> Events:
        """Show that a tool has returned."""
        index = self._tasks.pop(call_id, None)
        if index is None or self._item is None:
            return ()
        task = self._item.workflow.tasks[index]
        return self._update(index, task.model_copy(update={"status_indicator": "complete"}))

    def hosted_tool_call(self, item: Any, *, done: bool) -> Events:
        """Show a tool that the provider runs.

        Args:
            item: the model's output item: a search, an image, code.
            done: whether the tool has finished.
        """
        make_task = self._HOSTED_TOOLS.get(item.type)
        if not self._show_tools or make_task is None:
            return ()
        task = _PLAIN_TASKS.get(item.type) if self.plain else make_task(item)
        if task is None:
            return ()
        task = task.model_copy(update={"status_indicator": "complete" if done else "loading"})
        if self._link_hosts is not None:
            task = _without_links(task, self._link_hosts)
        index = self._tasks.pop(item.id, None) if done else None
        if index is not None:
            return self._update(index, task)
        events = self._add(task)
        if not done:
            self._tasks[item.id] = self._last_index
        return events

    _HOSTED_TOOLS: ClassVar[dict[str, Any]] = {
        "web_search_call": lambda item: _web_search(item),  # noqa: PLW0108  (defined below)
        "file_search_call": lambda item: _file_search(item),  # noqa: PLW0108  (as above)
        "code_interpreter_call": lambda item: CustomTask(title="Running code", icon="square-code"),
        "image_generation_call": lambda item: ImageTask(title="Generating an image"),
        "mcp_call": lambda item: CustomTask(title=_humanize(item.name), icon="bolt"),
    }

    # -- the workflow --------------------------------------------------------------------------------------

    def finish(self) -> Events:
        """End the workflow item, if there is one: the model begins to answer, or the turn is over."""
        item, self._item = self._item, None
        unfinished, self._reasoning = self._reasoning, {}
        self._tasks.clear()
        if item is None:
            return ()
        for reasoning in unfinished.values():  # the newest text may not have been sent yet
            item.workflow.tasks[reasoning.task_index] = self._thought(reasoning.text)
        self._cut_short.update(unfinished)
        workflow = finish_tasks(item).workflow.model_copy(
            update={"summary": DurationSummary(duration=round(time.monotonic() - self._started))}
        )
        return (ThreadItemDoneEvent(item=item.model_copy(update={"workflow": workflow})),)

    @property
    def _last_index(self) -> int:
        assert self._item is not None
        return len(self._item.workflow.tasks) - 1

    def _thought(self, text: str, *, loading: bool = False) -> ThoughtTask:
        if len(text) > MAX_REASONING_CHARACTERS:
            text = f"{text[:MAX_REASONING_CHARACTERS]}…"
        shown = showable_text(text, self._link_hosts)
        return ThoughtTask(content=shown, status_indicator="loading" if loading else "complete")

    def _add(self, task: Task, *, kind: str = "custom") -> Events:
        if self._item is None:
            self._started = time.monotonic()
            self._item = WorkflowItem(
                id=new_id("workflow"),
                thread_id=self._thread_id,
                created_at=now(),
                workflow=Workflow(type="reasoning" if kind == "reasoning" else "custom", tasks=[task]),
            )
            self._provider_metadata[self._item.id] = WORKFLOW_METADATA
            return (ThreadItemAddedEvent(item=self._item.model_copy(deep=True)),)
        self._item.workflow.tasks.append(task)
        update = WorkflowTaskAdded(task_index=self._last_index, task=task)
        return (ThreadItemUpdatedEvent(item_id=self._item.id, update=update),)

    def _update(self, index: int, task: Task) -> Events:
        if self._item is None:
            return ()
        self._item.workflow.tasks[index] = task
        update = WorkflowTaskUpdated(task_index=index, task=task)
        return (ThreadItemUpdatedEvent(item_id=self._item.id, update=update),)


def _humanize(name: str) -> str:
    """Return the name of a tool as a title: `create_todo` becomes `Create todo`."""
    words = " ".join(sanitize_text(name).replace("_", " ").replace("-", " ").split())[:80]
    return words[:1].upper() + words[1:]


def _without_links(task: Task, hosts: Sequence[str]) -> Task:
    """Return the task of a hosted tool without the links in all that a model or a page wrote in it."""
    changes: dict[str, object] = {}
    if isinstance(task, SearchTask):
        changes = {
            "sources": [source for source in task.sources if leads_to(source.url, hosts)],
            "queries": [showable_text(query, hosts) for query in task.queries],
            "title_query": task.title_query and showable_text(task.title_query, hosts),
        }
    elif isinstance(task, FileTask):
        names = [showable_text(source.filename, hosts) for source in task.sources]
        changes = {"sources": [FileSource(filename=name, title=name) for name in names]}
    elif isinstance(task, CustomTask):
        changes = {"title": task.title and showable_text(task.title, hosts)}
    return task.model_copy(update=changes)


_PLAIN_TASKS: dict[str, Task] = {
    "web_search_call": SearchTask(title="Searching the web"),
    "file_search_call": FileTask(title="Searching files"),
    "code_interpreter_call": CustomTask(title="Running code", icon="square-code"),
    "image_generation_call": ImageTask(title="Generating an image"),
    "mcp_call": CustomTask(title="Calling a tool", icon="bolt"),
}
"""The tasks of tools that a provider runs, without what the model wrote."""


def _web_search(item: Any) -> SearchTask:
    action = item.action if isinstance(item.action, dict) else item.action and item.action.model_dump()
    action = sanitize_json(action or {})
    values = (action.get(name) for name in ("query", "url", "pattern"))
    query = next((value for value in values if isinstance(value, str)), "")
    sources = action.get("sources")
    sources = sources if isinstance(sources, list) else []
    urls = [source.get("url") for source in sources if isinstance(source, dict)]
    return SearchTask(
        title="Searching the web",
        title_query=query[:200] or None,
        queries=[query[:200]] if query else [],
        sources=[URLSource(url=url, title=url) for url in urls if isinstance(url, str) and url][
            :_MAX_SOURCES
        ],
    )


def _file_search(item: Any) -> FileTask:
    results = [result for result in item.results or [] if isinstance(result.filename, str)]
    names = [sanitize_text(result.filename) for result in results]
    return FileTask(
        title="Searching files",
        sources=[FileSource(filename=name, title=name) for name in names][:_MAX_SOURCES],
    )
