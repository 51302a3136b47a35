"""Checks of requests to the Chat Completions API. Each raises `RefusedError`."""

from __future__ import annotations

from typing import Any

from tests.fake_openai.checks import (
    check_choice,
    check_function,
    check_known,
    check_string,
    check_type,
    check_unique,
    empty_array,
    missing,
    unknown_value,
    wrong_type,
)
from tests.fake_openai.refusal import RefusedError

MAX_CALL_ID = 40
PARAMETERS: dict[str, tuple[type, ...]] = {
    "audio": (dict,),
    "frequency_penalty": (float,),
    "function_call": (str, dict),
    "functions": (list,),
    "logit_bias": (dict,),
    "logprobs": (bool,),
    "max_completion_tokens": (int,),
    "max_tokens": (int,),
    "messages": (list,),
    "metadata": (dict,),
    "modalities": (list,),
    "model": (str,),
    "moderation": (dict,),
    "n": (int,),
    "parallel_tool_calls": (bool,),
    "prediction": (dict,),
    "presence_penalty": (float,),
    "prompt_cache_key": (str,),
    "prompt_cache_options": (dict,),
    "prompt_cache_retention": (str,),
    "reasoning_effort": (str,),
    "response_format": (dict,),
    "safety_identifier": (str,),
    "seed": (int,),
    "service_tier": (str,),
    "stop": (str, list),
    "store": (bool,),
    "stream": (bool,),
    "stream_options": (dict,),
    "temperature": (float,),
    "tool_choice": (str, dict),
    "tools": (list,),
    "top_logprobs": (int,),
    "top_p": (float,),
    "user": (str,),
    "verbosity": (str,),
    "web_search_options": (dict,),
}
_ROLES = ["system", "assistant", "user", "function", "tool", "developer"]
_PARTS = {
    "user": ["text", "image_url", "input_audio", "file"],
    "assistant": ["text", "refusal"],
    "system": ["text"],
    "developer": ["text"],
    "tool": ["text"],
}


def check(body: dict[str, Any]) -> None:
    """Refuse a request that the real API refuses for every model."""
    check_known(body, PARAMETERS)
    for name in ("model", "messages"):
        if body.get(name) is None:
            raise missing(name)
    _check_tools(body)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise RefusedError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    if not body["messages"]:
        raise empty_array("messages")
    for index, message in enumerate(body["messages"]):
        _check_message(f"messages[{index}]", message)
    _check_calls(body["messages"])


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        for name in ("parallel_tool_calls", "tool_choice"):
            # The API assumes "none" without tools, so it is accepted.
            if body.get(name) is not None and body[name] != "none":
                raise RefusedError(
                    f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.", name
                )
        return
    if not tools:
        raise empty_array("tools")
    names = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        check_type(param, tool, (dict,))
        if tool.get("type") not in ("function", "custom"):
            raise unknown_value(f"{param}.type", tool.get("type"), ["function", "custom"])
        if tool["type"] == "function":
            if tool.get("function") is None:
                raise missing(f"{param}.function")
            check_type(f"{param}.function", tool["function"], (dict,))
            names.append(check_function(f"{param}.function", tool["function"]))
    check_unique(names)
    choice = body.get("tool_choice")
    named = None
    if isinstance(choice, dict) and choice.get("type") == "function":
        named = (choice.get("function") or {}).get("name", "")
    check_choice(choice, named, names)


def _check_message(param: str, message: Any) -> None:
    check_type(param, message, (dict,))
    role = message.get("role")
    if role is None:
        raise missing(f"{param}.role")
    if role not in _ROLES:
        raise unknown_value(f"{param}.role", role, _ROLES)
    if role == "assistant":
        _check_assistant(param, message)
    elif message.get("content") is None:
        raise wrong_type(f"{param}.content", "one of a string or array of objects", message.get("content"))
    if role == "tool":
        if message.get("tool_call_id") is None:
            raise missing(f"{param}.tool_call_id")
        check_string(f"{param}.tool_call_id", message["tool_call_id"], longest=MAX_CALL_ID, shortest=1)
    _check_content(f"{param}.content", message.get("content"), _PARTS.get(role, ["text"]))


def _check_content(param: str, content: Any, supported: list[str]) -> None:
    if content is None:
        return
    check_type(param, content, (str, list))
    if isinstance(content, str):
        return
    if not content:
        raise empty_array(param)
    for index, part in enumerate(content):
        at = f"{param}[{index}]"
        check_type(at, part, (dict,))
        if part.get("type") not in supported:
            raise unknown_value(f"{at}.type", part.get("type"), supported)
        kind = part["type"]
        if part.get(kind) is None:
            raise missing(f"{at}.{kind}")
        check_type(f"{at}.{kind}", part[kind], (str,) if kind in ("text", "refusal") else (dict,))


def _check_assistant(param: str, message: dict[str, Any]) -> None:
    calls = message.get("tool_calls")
    if calls is None:
        if all(message.get(name) is None for name in ("content", "refusal", "function_call", "audio")):
            raise RefusedError(
                "Invalid value for 'content': expected a string, got null.", f"{param}.content"
            )
        return
    check_type(f"{param}.tool_calls", calls, (list,))
    if not calls:
        raise empty_array(f"{param}.tool_calls")
    for index, call in enumerate(calls):
        at = f"{param}.tool_calls[{index}]"
        check_type(at, call, (dict,))
        if call.get("id") is None:
            raise missing(f"{at}.id")
        check_string(f"{at}.id", call["id"], longest=MAX_CALL_ID, shortest=1)
        if call.get("type") not in ("function", "custom"):
            raise unknown_value(f"{at}.type", call.get("type"), ["function", "custom"])
        if call["type"] == "function":
            function = call.get("function")
            if function is None:
                raise missing(f"{at}.function")
            check_type(f"{at}.function", function, (dict,))
            for name in ("name", "arguments"):
                if name not in function:
                    raise missing(f"{at}.function.{name}")
                check_type(f"{at}.function.{name}", function[name], (str,))


def _check_calls(messages: list[dict[str, Any]]) -> None:
    """Refuse tool calls that are not each answered once by the tool messages right after them."""
    waiting: list[str] = []
    for index, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise RefusedError(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                    "with 'tool_calls'.",
                    f"messages.[{index}].role",
                )
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise RefusedError(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                + ", ".join(waiting),
                f"messages.[{index}].role",
            )
        waiting = [call["id"] for call in message.get("tool_calls") or []]
        if len(set(waiting)) < len(waiting):
            raise RefusedError(
                f"Duplicate value for 'tool_call_id' in message {index}.", f"messages.[{index}].tool_calls"
            )
