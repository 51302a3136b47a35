"""What the demo model says."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatrack.builtin.demo.conversation import Step
from chatrack.builtin.demo.entries import Entry, entries, title_of
from chatrack.builtin.demo.matching import example, kind_of, lister
from chatrack.builtin.demo.offers import Offer, singular

_QUOTED = 500
_WHOLE = 20_000
_SHOWN = 50
_EXAMPLES = 8


def introduction(offered: Sequence[Offer], *, opening: str) -> str:
    """Say what this is, what it can do with the tools at hand, and how to get a real model.

    Args:
        offered: what can be called.
        opening: the first words.
    """
    said = f"{opening} I am Chatrack's demo model: a program of a few rules, with no language model inside."
    parts = [f"{said} I need no key and no network."]
    examples = list(dict.fromkeys(_example(one) for one in offered))[:_EXAMPLES]
    if examples:
        parts.append(
            "\n".join(["This is what I understand, for example:", "", *(f"- {one}" for one in examples)])
        )
        parts.append(
            "To try a tool out, write `call NAME {…}` with its arguments as JSON, one call to a line; I call it with "
            "exactly these and show what it gives."
        )
    else:
        parts.append("There are no tools here that I could use, so this is all that I can say.")
    parts.append(
        "For real answers, set `LLM_PROVIDER=openai` and `OPENAI_API_KEY` in `.env` (or enable the plugin "
        "`gemini_provider` and set `LLM_PROVIDER=gemini` and `GEMINI_API_KEY`), and restart the server."
    )
    return "\n\n".join(parts)


def result(step: Step, offered: Sequence[Offer]) -> str:
    """Say what a tool did, from what it gave."""
    if step.failed:
        return failure(step.output)
    offer = next((one for one in offered if one.name == step.name), None)
    data, kind = step.result, kind_of(step.name)
    title = title_of(data) or title_of(step.arguments)
    listed = entries(data) if kind == "list" or isinstance(data, list) else None
    if listed is not None:
        return _list(step, listed, data)
    if title is not None and isinstance(data, Mapping) and kind is not None:
        where = " to your list" if offer is not None and lister(offer, offered) is not None else ""
        renamed = title_of({"title": step.arguments.get("title", step.arguments.get("name"))})
        done = {
            "create": f"I added “{title}”{where}.",
            "complete": f"“{title}” is completed.",
            "delete": f"I deleted “{title}”.",
            "change": f"it is called “{title}” now." if renamed else f"I updated “{title}”{_details(data)}.",
        }
        if kind in done:
            return f"Done: {done[kind]}"
    return _quote(step)


def results(steps: Sequence[Step]) -> str:
    """Say what tools gave, to the letter; of what is very long, the beginning and the end."""
    return "\n\n".join(f"The tool `{step.name}` answered:\n\n{_whole(step.output)}" for step in steps)


def failure(output: str) -> str:
    """Pass on what went wrong."""
    reason = output.partition("Error:")[2] if "Error:" in output else output
    return f"I am sorry, that did not work: {_short(reason).rstrip('.')}."


def unknown(text: str, offer: Offer, found: Sequence[Entry]) -> str:
    """Say that nothing on the list is called that, and what there is."""
    thing = singular(offer.words[-1]) if len(offer.words) > 1 else "entry"
    if not found:
        return f"I found no {thing} “{_short(text)}”: there is nothing on the list."
    names = ", ".join(f"“{_short(one.title)}”" for one in found[:10])
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return f"I found no {thing} that matches “{_short(text)}”. There is: {names}{more}."


def title(message: str) -> str:
    """Name a conversation: the first six words of its first message."""
    words = message.split()[:6]
    text = " ".join(words).strip("\"'“”.,;:!? ") or "New conversation"
    return text[:1].upper() + text[1:]


def _example(offer: Offer) -> str:
    if offer.agent is not None:
        return f"talk to {offer.agent}"
    things = " ".join(offer.words[1:])
    plural = things if things.endswith("s") else f"{things}s"
    known = {
        "create": f"add buy milk to my {plural}",
        "list": f"list my {plural}",
        "complete": "complete buy milk",
        "delete": "delete buy milk",
        "change": "rename buy milk to buy oat milk",
    }
    usable = bool(things) and not (kind_of(offer.name) == "create" and offer.text is None)
    return known.get(kind_of(offer.name) or "", "") * usable or f"`{example(offer)}`"


def _list(step: Step, listed: Sequence[Entry], data: object) -> str:
    things = " ".join(step.name.split("_")[1:]) or "entries"
    if not listed:
        matching = " that match" if any(value is not None for value in step.arguments.values()) else ""
        return f"There are no {things}{matching}."
    said = data.get("total") if isinstance(data, Mapping) else None
    total = said if isinstance(said, int) else len(listed)
    shown = listed[:_SHOWN]
    lines = [f"- {_short(one.title)}{_details(one.data)}" for one in shown]
    if total > len(shown):
        head = f"Here are {len(shown)} of {total} {things}:"
    else:
        head = f"There is one {singular(things)}:" if len(shown) == 1 else f"There are {len(shown)} {things}:"
    return "\n".join([head, "", *lines])


def _details(data: Mapping[str, Any]) -> str:
    parts = []
    if isinstance(data.get("status"), str):
        parts.append(data["status"].replace("_", " "))
    if data.get("priority"):
        parts.append(f"priority {data['priority']}")
    due = next((data[key] for key in ("due_at", "due", "due_date", "deadline") if data.get(key)), None)
    if due:
        parts.append(f"due {due}")
    return f" ({_short(', '.join(parts))})" if parts else ""


def _quote(step: Step) -> str:
    tool = f"The tool `{step.name}`" if step.name else "The tool"
    text = step.output.strip()
    if not text:
        return f"{tool} is done; it gave no answer."
    data = step.result
    if isinstance(data, str | int | float) and not isinstance(data, bool):
        text = str(data)
    elif data is not None:
        text = json.dumps(data, ensure_ascii=False)
    return f"{tool} answered: “{_short(text)}”"


def _whole(text: str) -> str:
    half = _WHOLE // 2
    return text if len(text) <= _WHOLE else f"{text[:half]}\n\n[…]\n\n{text[-half:]}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _QUOTED else f"{flat[: _QUOTED - 1]}…"
