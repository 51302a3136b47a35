"""What a thread is called."""

import asyncio

import structlog
from agents import Agent, Model, RunConfig, Runner
from chatkit.types import UserMessageItem

from chatrack.chat.requests import clean_text
from chatrack.config import ChatTable

_log = structlog.get_logger(source="chatrack.titles")

_SHORT = 60
_TIMEOUT = 20.0

_INSTRUCTIONS = (
    "Give a title of at most six words for a conversation that begins with the user's message. "
    "Answer in the language of the message, with the title alone: no quotes, no full stop."
)


def title_of(message: UserMessageItem, chat: ChatTable) -> str | None:
    """Name a thread after its first message: its beginning, cut at a word."""
    text = " ".join(clean_text(" ".join(part.text for part in message.content)).split())
    limit = min(_SHORT, chat.max_title)
    if len(text) <= limit:
        return text or None
    head = text[: limit - 1]
    return f"{head.rpartition(' ')[0] or head}…"


async def ask_for_title(model: Model, message: str, chat: ChatTable) -> str | None:
    """Let a model name a thread.

    Args:
        model: the model.
        message: the user's first message.
        chat: for the bound on titles.

    Returns:
        The title, or None if the model did not give one that can be used.
    """
    agent = Agent(name="title", instructions=_INSTRUCTIONS, model=model)
    try:
        async with asyncio.timeout(_TIMEOUT):
            result = await Runner.run(
                agent, message[:4000], max_turns=1, run_config=RunConfig(tracing_disabled=True)
            )
    except Exception as error:  # noqa: BLE001  (a name is a nicety: whatever a provider raises, the turn goes on)
        _log.warning("no title from the model", error=type(error).__name__)
        return None
    title = " ".join(clean_text(str(result.final_output)).split()).strip("\"'“”„ .")
    return title[: chat.max_title] or None
