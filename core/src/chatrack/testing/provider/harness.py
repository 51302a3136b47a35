"""What the tests of the contract are made of: tools, questions, and what was heard in answer to them."""

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

PATIENCE = 30.0
"""Seconds after which a test no longer waits for an answer."""

WORDS = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep."


class Called(msgspec.Struct, frozen=True):
    """A call that a tool got.

    Args:
        name: the tool.
        call_id: what the model calls the call.
        text: the argument; None if the tool takes none.
        token: a word that is in nothing but the result.
        end: the same, for the result's other end.
    """

    name: str
    call_id: str
    text: str | None
    token: str
    end: str


class Toolbox:
    """Two tools: `note` takes a text and gives it back between two words of its own, `ping` takes nothing."""

    def __init__(self) -> None:
        self.calls: list[Called] = []

        @function_tool
        def note(context: ToolContext, text: str) -> str:
            """Note a text; gives it back with a word before and a word after it."""
            return self._called(context, text)

        @function_tool
        def ping(context: ToolContext) -> str:
            """Give two words."""
            return self._called(context, None)

        self.tools: list[Tool] = [note, ping]

    def _called(self, context: ToolContext, text: str | None) -> str:
        token, end = f"a{secrets.token_hex(4)}", f"z{secrets.token_hex(4)}"
        self.calls.append(Called(context.tool_name, context.tool_call_id, text, token, end))
        return f"{token} {text or 'pong'} {end}"

    def texts(self) -> list[tuple[str, str | None]]:
        """Give which tools were called with what."""
        return [(call.name, call.text) for call in self.calls]

    def check_ids(self) -> None:
        """See that each call can be told from every other."""
        ids = [call.call_id for call in self.calls]
        assert all(ids), f"a call without an id: {ids}"
        assert len(set(ids)) == len(ids), f"two calls with one id: {ids}"


class Heard:
    """What came of one question.

    Args:
        result: the run.
        events: what the model said, event by event.
    """

    def __init__(self, result: RunResultStreaming, events: Sequence[Any]) -> None:
        self.result = result
        self.text = str(result.final_output)
        """The last words."""
        self.responses: list[list[Any]] = []
        """The events of each response of the model."""
        current: list[Any] = []
        for event in events:
            current.append(event)
            if event.type == "response.completed":
                self.responses.append(current)
                current = []
        assert not current, f"after the last response.completed came {[event.type for event in current]}"
        assert self.responses, "the model did not answer"

    @property
    def deltas(self) -> list[str]:
        """The pieces that the last words came in."""
        return [event.delta for event in self.responses[-1] if event.type == "response.output_text.delta"]

    def check_repeats(self, called: Sequence[Called]) -> None:
        """See that the results of calls reached the model, from their beginnings to their ends."""
        for call in called:
            assert call.token in self.text, f"the model does not know what {call.name} gave"
            assert call.end in self.text, f"the model does not know the end of what {call.name} gave"

    def stored(self) -> list[Any]:
        """Give the conversation as it is shown to the model in the next turn.

        As the server does: through JSON, words as plain text, calls and results without ids but those that tie them
        together.
        """
        return [_stored(item) for item in json.loads(json.dumps(self.result.to_input_list()))]


_NAMES = {
    "function_call": ("type", "call_id", "name", "arguments", "provider_data"),
    "function_call_output": ("type", "call_id", "output"),
}


def _stored(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("role") == "assistant":
        content = item["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        return {"role": "assistant", "content": text}
    names = _NAMES.get(str(item.get("type")))
    return item if names is None else {name: item[name] for name in names if name in item}


def user(text: str) -> Any:
    """Make a message of the user."""
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


class Asking:
    """A conversation with a model.

    Args:
        model: the model.
        script: the instructions are its.
        history: what was said before.
    """

    def __init__(self, model: Model, script: ProviderScript, history: Sequence[Any] = ()) -> None:
        self.box = Toolbox()
        self.history = list(history)
        self.agent = self.new_agent("first", model, script)

    def new_agent(self, name: str, model: Model, script: ProviderScript, **more: Any) -> agents.Agent[Any]:
        """Make an agent with the tools."""
        return agents.Agent(
            name=name, instructions=script.instructions, model=model, tools=self.box.tools, **more
        )

    async def ask(self, said: str) -> Heard:
        """Say something, and hear the whole answer."""
        result = Runner.run_streamed(self.agent, [*self.history, user(said)], run_config=CONFIG)
        try:
            async with asyncio.timeout(PATIENCE), contextlib.aclosing(result.stream_events()) as stream:  # type: ignore[type-var]  # a generator
                events = [event.data async for event in stream if event.type == "raw_response_event"]
        except TimeoutError:
            pytest.fail(f"the answer did not end within {PATIENCE:.0f} seconds")
        heard = Heard(result, events)
        self.history = heard.stored()
        return heard

    async def whole(self, said: str) -> str:
        """Say something, and get the answer in one piece."""
        async with asyncio.timeout(PATIENCE):
            result = await Runner.run(self.agent, [*self.history, user(said)], run_config=CONFIG)
        return str(result.final_output)
