"""Checks of requests to Gemini's OpenAI-compatible endpoint: what it refuses and OpenAI accepts, as users report.

Unknown fields are refused, all of them in one response:
    frequency_penalty, seed  https://github.com/Vali-98/ChatterUI/issues/227
    metadata, store          https://github.com/ed-donner/agents/issues/45
    prompt_cache_key         https://github.com/liliMozi/openhanako/issues/2494 (also: stream_options and
                             max_completion_tokens are accepted)
    reasoning, top_k         https://github.com/MinLL/SkyrimNet-GamePlugin/issues/77
    google                   https://github.com/Alishahryar1/free-claude-code/issues/542
    parallel_tool_calls was one of them and is accepted by now:
                             https://github.com/jackmpcollins/magentic/pull/382
Messages
    empty content            https://github.com/evalstate/fast-agent/issues/6
    content null             https://github.com/langchain-ai/langchain/pull/30803
    system messages alone    https://discuss.ai.google.dev/t/openai-compatibilioty-with-jnodejs-error/50746
                             (the wording: https://github.com/vercel/ai/issues/3775)
    unknown roles            https://github.com/dreeveapp/dreeve/issues/894
    outputs without a call   https://github.com/pydantic/pydantic-ai/issues/1879
    calls without outputs    https://github.com/microsoft/vscode/issues/299295
    calls not after a user's turn or an output
                             https://github.com/continuedev/continue/issues/11047
"""

from __future__ import annotations

from typing import Any

from tests.fake_openai import chat_checks
from tests.fake_openai.checks import check_known
from tests.fake_openai.refusal import RefusedError

_REFUSED = ["frequency_penalty", "metadata", "prompt_cache_key", "seed", "store"]
_OWN = ["extra_body"]
# No report says how developer messages are handled; OpenAI's clients send them, so they are accepted.
_ROLES = ["system", "developer", "user", "assistant", "tool"]


class UnknownFieldsError(RefusedError):
    """A request has fields that are unknown to the endpoint; `violations` names each."""

    def __init__(self, names: list[str]) -> None:
        self.violations = [
            f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.' for name in names
        ]
        super().__init__("\n".join(self.violations))


def check(body: dict[str, Any]) -> None:
    """Refuse a request that the endpoint or OpenAI refuses."""
    known = chat_checks.PARAMETERS.keys() - set(_REFUSED) | set(_OWN)
    if unknown := sorted(name for name in body if name not in known):
        raise UnknownFieldsError(unknown)
    rest = {name: value for name, value in body.items() if name not in _OWN}
    messages = body.get("messages")
    if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
        _check_messages(messages)
    check_known({name: body[name] for name in _OWN if name in body}, dict.fromkeys(_OWN, (dict,)))
    chat_checks.check(rest)


def _check_messages(messages: list[dict[str, Any]]) -> None:
    contents = [message for message in messages if message.get("role") not in ("system", "developer")]
    if not contents:
        raise RefusedError("* GenerateContentRequest.contents: contents is not specified\n")
    waiting: dict[str, str] = {}
    last = ""
    for index, message in enumerate(contents):
        role = message.get("role")
        if role not in _ROLES:
            raise RefusedError("Please use a valid role: user, model.")
        calls = message.get("tool_calls") or []
        if not calls:
            _check_content(index, message.get("content"))
        if role == "tool":
            _check_output(index, message, waiting, last)
        elif waiting:
            raise _unanswered()
        elif calls and last not in ("user", "tool"):
            raise RefusedError(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        for call in calls:
            waiting[str(call.get("id"))] = str((call.get("function") or {}).get("name"))
        last = "call" if calls else str(role)
    if waiting:
        raise _unanswered()


def _check_content(index: int, content: Any) -> None:
    if content is None:
        raise RefusedError("Expected string or list of content parts, got: null")
    if not content:
        raise RefusedError(
            f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n"
        )


def _check_output(index: int, message: dict[str, Any], waiting: dict[str, str], last: str) -> None:
    if last not in ("call", "tool"):
        raise RefusedError(
            "Please ensure that function response turn comes immediately after a function call turn."
        )
    name = waiting.pop(str(message.get("tool_call_id")), None) or message.get("name")
    if not name:
        raise RefusedError(
            f"* GenerateContentRequest.contents[{index}].parts[0].function_response.name: Name cannot be "
            "empty.\n"
        )


def _unanswered() -> RefusedError:
    return RefusedError(
        "Please ensure that the number of function response parts is equal to the number of function call "
        "parts of the function call turn."
    )
