"""Titles of threads: from the first message, or by a model."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from agents import Agent, RunConfig, Runner
from chatkit.types import Page, Thread, ThreadUpdatedEvent, UserMessageItem

from chatrack.assembly import BoundAgent
from chatrack.chat.agents.resolver import AgentResolver
from chatrack.chat.agents.usage import UsageTracker
from chatrack.chat.errors import Withheld
from chatrack.chat.requests import clean_text
from chatrack.chat.turns.session import TurnSession
from chatrack.config import ChatTable
from chatrack.errors import RequestError
from chatrack.interfaces import AgentSpec, Model, Store, ThreadRecord, TurnContext
from chatrack.interfaces.records import record_to_thread

_log = structlog.get_logger(source="chatrack.titles")

MAX_TITLE = 60
"""The length of a title that is made of a message."""

TIMEOUT = 20.0
"""Seconds that a model may take for a title."""

_AGENT = AgentSpec(
    name="title",
    instructions=(
        "Give a title of at most six words for a conversation that begins with the user's message. "
        "Answer in the language of the message, with the title alone: no quotes, no full stop."
    ),
)
_ADDRESS = "chatrack.title"
"""The agent's address in usage records; plugins' agents have their plugin's name before the dot."""


def title_from_message(message: UserMessageItem, chat: ChatTable) -> str | None:
    """Return the beginning of a message, cut at a word; None if it has no text."""
    text = " ".join(clean_text(" ".join(part.text for part in message.content)).split())
    limit = min(MAX_TITLE, chat.max_title)
    if len(text) <= limit:
        return text or None
    head = text[: limit - 1]
    return f"{head.rpartition(' ')[0] or head}…"


async def rename_thread(store: Store, session: TurnSession, old: str | None, new: str) -> bool:
    """Rename the thread of a turn and tell the client, unless the user has renamed it meanwhile.

    Args:
        store: where the thread is.
        session: the turn.
        old: the title that the thread must still have.
        new: the new one.

    Returns:
        Whether it was renamed.
    """
    if not await store.replace_title(session.thread_id, old, new, session.context):
        return False
    record = await store.load_record(session.thread_id, session.context)
    thread = Thread(**record_to_thread(record).model_dump(exclude={"metadata"}), items=Page())
    session.writer.send(ThreadUpdatedEvent(thread=thread))
    return True


class TitleGenerator:
    """Lets a model improve on the title of a new thread.

    Args:
        store: where the thread is.
        max_title: the greatest length of a title.
        model_name: the model, as `provider/model`.
        create_model: creates the model.
    """

    def __init__(
        self, store: Store, *, max_title: int, model_name: str, create_model: Callable[[], Model]
    ) -> None:
        self._store = store
        self._max_title = max_title
        self._model_name = model_name
        self._create_model = create_model
        self._withheld = False
        self._stored: str | None = None  # the model's title, as soon as it is being stored

    async def improve(
        self, session: TurnSession, created: ThreadRecord, check: Callable[[str], Awaitable[str]]
    ) -> None:
        """Rename the thread of a turn, tell the client, and store the tokens that it took.

        Args:
            session: the turn that created the thread.
            created: the thread as it was created.
            check: returns what users may read of a title; raises `Withheld` if that is nothing.
        """
        message = session.request.message
        agent = Agent[TurnContext](
            name=_AGENT.name, instructions=_AGENT.instructions, model=self._create_model()
        )
        bound = BoundAgent(
            address=_ADDRESS, spec=_AGENT, agent=agent, model=self._model_name, tools={}, handoffs=()
        )
        usage = UsageTracker(AgentResolver(bound, ()))
        text = "" if message is None else "".join(part.text for part in message.content)
        title = await self._ask(agent, text, usage)
        if title is not None:
            try:
                checked = " ".join(clean_text(await check(title)).split())[: self._max_title]
                if checked and not self._withheld:
                    self._stored = checked
                    await rename_thread(self._store, session, created.title, checked)
            except Withheld:
                pass  # logged by the guardrail's caller; the thread keeps its name
            except RequestError as error:
                session.log.warning("thread not renamed", reason=error.title)
        records = usage.records(thread_id=session.thread_id, turn_id=session.turn_id)
        if records:
            try:
                await self._store.save_usage(records, session.context)
            except RequestError as error:
                session.log.warning("usage not saved", reason=error.title)

    def withhold(self) -> str | None:
        """Store no title from now on; return the one that may have been stored."""
        self._withheld = True
        return self._stored

    async def _ask(self, agent: Agent[TurnContext], message: str, usage: UsageTracker) -> str | None:
        config = RunConfig(tracing_disabled=True)
        try:
            async with asyncio.timeout(TIMEOUT):
                result = await Runner.run(agent, message[:4000], max_turns=1, run_config=config, hooks=usage)
        except Exception as error:  # noqa: BLE001  (a title is optional: whatever a provider raises, the turn goes on)
            _log.warning("no title from the model", error=type(error).__name__)
            return None
        title = " ".join(clean_text(str(result.final_output)).split()).strip("\"'“”„ .")
        return title[: self._max_title] or None
