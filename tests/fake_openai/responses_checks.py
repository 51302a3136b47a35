"""Checks of requests to the Responses API. Each raises `RefusedError`."""

from __future__ import annotations

from typing import Any

from tests.fake_openai.checks import (
    check_choice,
    check_function,
    check_known,
    check_string,
    check_type,
    check_unique,
    missing,
    unknown_value,
    wrong_type,
)
from tests.fake_openai.encrypted_reasoning import is_sealed
from tests.fake_openai.refusal import RefusedError

MAX_ID = 64
_PARAMETERS: dict[str, tuple[type, ...]] = {
    "background": (bool,),
    "context_management": (list,),
    "conversation": (str, dict),
    "include": (list,),
    "input": (str, list),
    "instructions": (str,),
    "max_output_tokens": (int,),
    "max_tool_calls": (int,),
    "metadata": (dict,),
    "model": (str,),
    "moderation": (dict,),
    "parallel_tool_calls": (bool,),
    "previous_response_id": (str,),
    "prompt": (dict,),
    "prompt_cache_key": (str,),
    "prompt_cache_options": (dict,),
    "prompt_cache_retention": (str,),
    "reasoning": (dict,),
    "safety_identifier": (str,),
    "service_tier": (str,),
    "store": (bool,),
    "stream": (bool,),
    "stream_options": (dict,),
    "temperature": (float,),
    "text": (dict,),
    "tool_choice": (str, dict),
    "tools": (list,),
    "top_logprobs": (int,),
    "top_p": (float,),
    "truncation": (str,),
    "user": (str,),
}
_INCLUDABLE = [
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
# The prefix of the ids of each item type, and the fields of the types that are checked.
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "reasoning": "rs",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "image_generation_call": "ig",
    "code_interpreter_call": "ci",
    "computer_call": "cu",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctc",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "local_shell_call": "lsh",
    "compaction": "cmp",
}
_OTHER_TYPES = ["item_reference", "computer_call_output", "local_shell_call_output", "mcp_approval_response"]
_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "message": {"role": (str,), "content": (str, list), "status": (str,), "phase": (str,)},
    "function_call": {"call_id": (str,), "name": (str,), "arguments": (str,), "status": (str,),
                      "namespace": (str,), "caller": (dict,), "async": (bool,)},
    "function_call_output": {"call_id": (str,), "output": (str, list), "status": (str,), "name": (str,),
                             "namespace": (str,), "caller": (dict,)},
    "reasoning": {"summary": (list,), "content": (list,), "encrypted_content": (str,), "status": (str,)},
}  # fmt: skip
_ROLES = ["assistant", "system", "developer", "user"]
_INPUT_PARTS = ["input_text", "input_image", "input_file"]
_OUTPUT_PARTS = ["output_text", "refusal"]


def check(body: dict[str, Any]) -> None:
    """Refuse a request that the real API refuses for every model."""
    check_known(body, _PARAMETERS)
    if body.get("model") is None:
        raise missing("model")
    for index, name in enumerate(body.get("include") or []):
        if name not in _INCLUDABLE:
            raise unknown_value(f"include[{index}]", name, _INCLUDABLE)
    _check_tools(body)
    # With a conversation stored at the server, the input may be empty and may answer earlier calls.
    continued = any(body.get(name) is not None for name in ("previous_response_id", "conversation", "prompt"))
    source = body.get("input")
    if not source:
        if continued:
            return
        raise RefusedError(
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            "input",
            "missing_required_parameter",
        )
    if isinstance(source, list):
        _check_items(source, stored=body.get("store") is not False)
        _check_calls(source, continued=continued)


def _check_tools(body: dict[str, Any]) -> None:
    names = []
    for index, tool in enumerate(body.get("tools") or []):
        param = f"tools[{index}]"
        check_type(param, tool, (dict,))
        if tool.get("type") is None:
            raise missing(f"{param}.type")
        if tool["type"] == "function":
            names.append(check_function(param, tool))
    check_unique(names)
    choice = body.get("tool_choice")
    named = choice.get("name") if isinstance(choice, dict) and choice.get("type") == "function" else None
    check_choice(choice, named, names)


def _check_items(items: list[Any], *, stored: bool) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        param = f"input[{index}]"
        check_type(param, item, (dict,))
        kind = item.get("type", "message" if "role" in item else None)
        if kind not in _PREFIXES and kind not in _OTHER_TYPES:
            raise unknown_value(param, kind, [*_PREFIXES, *_OTHER_TYPES])
        if kind in _FIELDS:
            check_known(item, {"type": (str,), "id": (str,), **_FIELDS[kind]}, f"{param}.")
        if item.get("id") is not None:
            _check_id(f"{param}.id", item["id"], _PREFIXES.get(kind), seen)
        if kind == "message":
            _check_message(param, item)
        elif kind == "reasoning":
            _check_reasoning(param, item, items[index + 1] if index + 1 < len(items) else None, stored)
        elif kind in ("function_call", "function_call_output"):
            needed = ("call_id", "name", "arguments") if kind == "function_call" else ("call_id", "output")
            for name in needed:
                if item.get(name) is None:
                    raise missing(f"{param}.{name}")
            check_string(f"{param}.call_id", item["call_id"], longest=MAX_ID, shortest=1)


def _check_id(param: str, item_id: str, prefix: str | None, seen: set[str]) -> None:
    check_string(param, item_id, longest=MAX_ID)
    if prefix is not None and not item_id.startswith(f"{prefix}_"):
        raise RefusedError(
            f"Invalid '{param}': '{item_id}'. Expected an ID that begins with '{prefix}'.",
            param,
            "invalid_value",
        )
    if item_id in seen:
        raise RefusedError(
            f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again.",
            "input",
        )
    seen.add(item_id)


def _check_message(param: str, item: dict[str, Any]) -> None:
    if item.get("role") not in _ROLES:
        raise unknown_value(f"{param}.role", item.get("role"), _ROLES)
    content = item.get("content")
    if content is None:
        raise missing(f"{param}.content")
    if isinstance(content, str):
        return
    supported = _OUTPUT_PARTS if item["role"] == "assistant" else _INPUT_PARTS
    for index, part in enumerate(content):
        at = f"{param}.content[{index}]"
        check_type(at, part, (dict,))
        if part.get("type") not in supported:
            raise unknown_value(at, part.get("type"), supported)
        field = "refusal" if part["type"] == "refusal" else "text"
        if part["type"] in ("input_text", "output_text", "refusal") and type(part.get(field)) is not str:
            raise wrong_type(f"{at}.{field}", "a string", part.get(field))


def _check_reasoning(param: str, item: dict[str, Any], following: Any, stored: bool) -> None:
    item_id = item.get("id")
    encrypted = item.get("encrypted_content")
    if item_id is None and not encrypted:
        raise missing(f"{param}.id")
    if item.get("summary") is None:
        raise missing(f"{param}.summary")
    if not stored and not encrypted:
        raise RefusedError(
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try "
            "again with `store` set to true, or remove this item from your input.",
            "input",
            status=404,
        )
    if encrypted and not is_sealed(encrypted):
        raise RefusedError(
            f"The encrypted content {encrypted[:4]}...{encrypted[-4:]} could not be verified. Reason: Encrypted "
            "content could not be decrypted or parsed.",
            code="invalid_encrypted_content",
        )
    kind = following.get("type", "message") if isinstance(following, dict) else "function_call_output"
    is_output = following.get("role") == "assistant" if kind == "message" else not kind.endswith("_output")
    if not is_output:
        raise RefusedError(
            f"Item '{item_id}' of type 'reasoning' was provided without its required following item.", "input"
        )


def _check_calls(items: list[dict[str, Any]], *, continued: bool) -> None:
    """Refuse calls without outputs and outputs without calls; calls of an earlier response may be answered."""
    open_calls: set[str] = set()
    called: set[str] = set()
    answered: set[str] = set()
    for item in items:
        call_id = str(item.get("call_id"))
        if item.get("type") == "function_call":
            if call_id in called:
                raise RefusedError(f"Duplicate function call found with call_id {call_id}.", "input")
            called.add(call_id)
            open_calls.add(call_id)
        elif item.get("type") == "function_call_output":
            if call_id in answered:
                raise RefusedError(f"Duplicate function call output found with call_id {call_id}.", "input")
            if call_id not in open_calls and not continued:
                raise RefusedError(
                    f"No tool call found for function call output with call_id {call_id}.", "input"
                )
            answered.add(call_id)
            open_calls.discard(call_id)
    for item in items:
        if item.get("type") == "function_call" and item["call_id"] in open_calls:
            raise RefusedError(f"No tool output found for function call {item['call_id']}.", "input")
