"""What the demo model says."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatrack.builtin.demo.parser import ToolResult, title_of
from chatrack.builtin.demo.tool_specs import ToolSpec, words_in

_EXAMPLES = {
    "create": "add buy milk to my {}s",
    "list": "list my {}s",
    "complete": "complete buy milk",
    "delete": "delete buy milk",
    "update": "rename buy milk to buy oat milk",
}
_DONE = {
    "create": "I added “{}” to your list.",
    "complete": "“{}” is completed.",
    "delete": "I deleted “{}”.",
    "update": "it is called “{}” now.",
}
_DETAILS = {"status": "{}", "priority": "priority {}", "due_at": "due {}"}
_SAMPLES = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}


def introduction(opening: str, specs: Sequence[ToolSpec]) -> str:
    """Return what this model is, what it understands, and how to get a real one."""
    return (
        f"{opening} I am Chatrack's demo model: a program of a few rules, with no language model inside. I need no "
        f"key and no network. {_examples(specs)}\n\nTo try any tool, write `call NAME {{…}}` with its arguments as "
        "JSON, one call to a line.\n\nFor real answers, set `LLM_PROVIDER=openai` and `OPENAI_API_KEY` in `.env` "
        "(or `LLM_PROVIDER=gemini` and `GEMINI_API_KEY`), and restart the server."
    )


def not_understood(specs: Sequence[ToolSpec]) -> str:
    """Return what would be understood."""
    return f"I did not understand that. {_examples(specs)}\n\nWrite `help` for more."


def incomplete(problem: str, spec: ToolSpec) -> str:
    """Return what is wrong with a command, and a command for the same tool that is right."""
    return f"{problem} For example: {_example(spec)}"


def unknown_tool(name: str, names: Sequence[str]) -> str:
    """Return the tool with the closest name, and all there are."""
    closest = difflib.get_close_matches(name.rpartition(".")[2], names, n=1)
    hint = f" Did you mean `{closest[0]}`?" if closest else ""
    known = ", ".join(f"`{known}`" for known in names) or "none"
    return f"There is no tool `{name}`.{hint} The tools here: {known}."


def not_found(title: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return which entries there are, in place of one that is not."""
    titles = ", ".join(f"“{_shorten(title_of(entry), 100)}”" for entry in entries[:10])
    there_is = f". There is: {titles}." if titles else ": there is nothing on the list."
    return f"I found nothing that matches “{title}”{there_is}"


def report(result: ToolResult) -> str:
    """Return what a tool did."""
    spec, title = ToolSpec(result.tool, words_in(result.tool)), title_of(result.data)
    if result.output.startswith(("Error", "An error occurred")):
        return f"I am sorry, that did not work: {result.output.removeprefix('Error:').strip(' .')}."
    if spec.action == "list" and result.entries is not None:
        return _list(spec.noun, result)
    if spec.action in _DONE and title:
        return f"Done: {_DONE[spec.action].format(title)}"
    return quote([result])


def quote(results: Sequence[ToolResult]) -> str:
    """Return the outputs of tools, word for word unless they are very long."""
    return "\n\n".join(
        f"The tool `{result.tool}` answered:\n\n{_shorten(result.output, 20_000)}" for result in results
    )


def title(message: str) -> str:
    """Return a title for a conversation: the first six words of its first message."""
    words = " ".join(message.split()[:6]).strip("\"'“”.,;:!?") or "New conversation"
    return words[:1].upper() + words[1:]


def _examples(specs: Sequence[ToolSpec]) -> str:
    examples = "".join(f"\n- {_example(spec)}" for spec in specs)
    return f"This is what I understand:\n{examples}" if specs else "There are no tools here that I could use."


def _example(spec: ToolSpec) -> str:
    if spec.action in _EXAMPLES and len(spec.required) < 2:
        return _EXAMPLES[spec.action].format(spec.noun)
    arguments = {name: _SAMPLES.get(kind, "…") for name, kind in spec.required.items()}
    return (
        f"call {spec.name} {json.dumps(arguments, ensure_ascii=False)}" if arguments else " ".join(spec.words)
    )


def _list(noun: str, result: ToolResult) -> str:
    entries = result.entries or []
    if not entries:
        return f"There are no {noun}s."
    lines = []
    for entry in entries[:50]:
        details = [form.format(entry[field]) for field, form in _DETAILS.items() if entry.get(field)]
        line = f"{title_of(entry)} ({', '.join(details).replace('_', ' ')})".removesuffix(" ()")
        lines.append(f"\n- {_shorten(line, 200)}")
    more = len(entries) > 50 or (isinstance(result.data, dict) and result.data.get("has_more"))
    return f"Here are your {noun}s:\n{''.join(lines)}" + ("\n- …" if more else "")


def _shorten(text: str, limit: int) -> str:
    """Return the beginning and the end of a long text."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} […] {text[-half:]}"
