"""Tools, conversations and answers for the contract tests."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Sequence
from typing import Any

import agents
import msgspec
import pytest
from agents import RunConfig, Runner, RunResultStreaming

from chatrack.interfaces.models import Model
from chatrack.interfaces.tools import Tool, ToolContext, function_tool
from chatrack.testing.provider.script import ProviderScript

CONFIG = RunConfig(tracing_disabled=True)

TIMEOUT = 60.0
"""Seconds after which a test stops waiting for an answer and fails."""

WORDS = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep."


class ToolCall(msgspec.Struct, frozen=True):
    """A call that a tool received.

    Args:
        name: the tool.
        call_id: the model's id of the call.
        text: the argument; None for a tool without parameters.
        token: a random word at the beginning of the result.
        end: a random word at the end of the result.
    """

    name: str
    call_id: str
    text: str | None
    token: str
    end: str


class Toolbox:
    """Two tools: `note` returns its text between two random words, and `ping` has no parameters."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []

        @function_tool
        def note(context: ToolContext, text: str) -> str:
            """Note a text. Returns it between two words."""
            return self._called(context, text)

        @function_tool
        def ping(context: ToolContext) -> str:
            """Return two words."""
            return self._called(context, None)

        self.tools: list[Tool] = [note, ping]

    def _called(self, context: ToolContext, text: str | None) -> str:
        token, end = f"a{secrets.token_hex(4)}", f"z{secrets.token_hex(4)}"
        self.calls.append(ToolCall(context.tool_name, context.tool_call_id, text, token, end))
        return f"{token} {text or 'pong'} {end}"

    def texts(self) -> list[tuple[str, str | None]]:
        """Return the names and the arguments of the calls."""
        return [(call.name, call.text) for call in self.calls]

    def assert_unique_ids(self) -> None:
        """Assert that each call has an id, and no two have the same."""
        ids = [call.call_id for call in self.calls]
        assert all(ids), f"a call without an id: {ids}"
        assert len(set(ids)) == len(ids), f"two calls with one id: {ids}"


class Answer:
    """The answer to one message.

    Args:
        result: the run.
        events: the model's events.
    """

    def __init__(self, result: RunResultStreaming, events: Sequence[Any]) -> None:
        self.result = result
        self.text = str(result.final_output)
        """The final text."""
        self.responses: list[list[Any]] = []
        """The events of each of the model's responses."""
        current: list[Any] = []
        for event in events:
            current.append(event)
            if event.type == "response.completed":
                self.responses.append(current)
                current = []
        assert not current, f"events after the last response.completed: {[event.type for event in current]}"
        assert self.responses, "the model did not answer"

    @property
    def deltas(self) -> list[str]:
        """The text deltas of the last response."""
        return [event.delta for event in self.responses[-1] if event.type == "response.output_text.delta"]

    def assert_repeats(self, calls: Sequence[ToolCall]) -> None:
        """Assert that the complete results of calls reached the model."""
        for call in calls:
            assert call.token in self.text, f"the model does not know the result of {call.name}"
            assert call.end in self.text, f"the model does not know the end of the result of {call.name}"

    def to_history(self) -> list[Any]:
        """Return the conversation in the form in which the server replays it in the next turn.

        Through JSON, text as plain strings, and calls and results with no ids other than `call_id`.
        """
        return [_to_history(item) for item in json.loads(json.dumps(self.result.to_input_list()))]


_NAMES = {
    "function_call": ("type", "call_id", "name", "arguments", "provider_data"),
    "function_call_output": ("type", "call_id", "output"),
}


def _to_history(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("role") == "assistant":
        content = item["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        return {"role": "assistant", "content": text}
    names = _NAMES.get(str(item.get("type")))
    return item if names is None else {name: item[name] for name in names if name in item}


def user(text: str) -> Any:
    """Return a user's message."""
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


class Conversation:
    """A conversation with a model.

    Args:
        model: the model.
        script: the script, for its instructions.
        history: the items before the first message.
    """

    def __init__(self, model: Model, script: ProviderScript, history: Sequence[Any] = ()) -> None:
        self.toolbox = Toolbox()
        self.history = list(history)
        self.agent = self.new_agent("first", model, script)

    def new_agent(self, name: str, model: Model, script: ProviderScript, **options: Any) -> agents.Agent[Any]:
        """Return an agent with the tools."""
        return agents.Agent(
            name=name, instructions=script.instructions, model=model, tools=self.toolbox.tools, **options
        )

    async def ask(self, message: str) -> Answer:
        """Send a message and return the complete answer."""
        result = Runner.run_streamed(self.agent, [*self.history, user(message)], run_config=CONFIG)
        try:
            async with asyncio.timeout(TIMEOUT), contextlib.aclosing(result.stream_events()) as stream:  # type: ignore[type-var]  # a generator
                events = [event.data async for event in stream if event.type == "raw_response_event"]
        except TimeoutError:
            pytest.fail(f"the answer did not end within {TIMEOUT:.0f} seconds")
        answer = Answer(result, events)
        self.history = answer.to_history()
        return answer

    async def ask_unstreamed(self, message: str) -> str:
        """Send a message and return the text of an answer that is not streamed."""
        async with asyncio.timeout(TIMEOUT):
            result = await Runner.run(self.agent, [*self.history, user(message)], run_config=CONFIG)
        return str(result.final_output)
