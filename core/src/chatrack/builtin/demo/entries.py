"""Things in the results of tools: finding lists, titles and ids in JSON of any shape."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_TITLES = ("title", "name", "text", "summary", "subject", "label", "content", "description")
_FILLER = {"the", "a", "an", "my", "this", "that", "one", "todo", "task", "item", "entry", "note", "reminder"}
_DONE = {"completed", "complete", "done", "finished", "closed"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of a list.

    Args:
        title: what people call it.
        data: all of it.
    """

    title: str
    data: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """Whether it is over and done with."""
        return str(self.data.get("status", "")).lower() in _DONE

    def id_for(self, argument: str) -> object:
        """Give its id for an argument of a tool (`todo_id`), or None if it has none."""
        keys = [argument, "id", *(key for key in self.data if key.endswith("_id"))]
        return next((self.data[key] for key in keys if self.data.get(key) is not None), None)


def title_of(data: object) -> str | None:
    """Give what people call a thing, on one line."""
    if not isinstance(data, Mapping):
        return None
    found = next((data[key] for key in _TITLES if isinstance(data.get(key), str) and data[key]), None)
    return " ".join(found.split()) if found is not None else None


def entries(result: object) -> list[Entry] | None:
    """Find the list in a result, or None if it holds none."""
    if isinstance(result, Mapping):
        lists = [value for value in result.values() if isinstance(value, list)]
        result = next((one for one in lists if any(isinstance(part, Mapping) for part in one)), None) or (
            lists[0] if lists else None
        )
    if not isinstance(result, list):
        return None
    return [_entry(part) for part in result]


def best(text: str, candidates: Sequence[Entry], *, unfinished: bool) -> tuple[int, Entry | None]:
    """Find the thing that a text means.

    Args:
        text: what the user called it.
        candidates: the things there are.
        unfinished: whether those that are not done come first among equals.

    Returns:
        How well it fits, 0 (nothing does) to 4 (the same), and the thing.
    """
    ranked = [
        ((_score(text, one.title), unfinished and not one.done, -len(one.title)), one) for one in candidates
    ]
    if not ranked:
        return 0, None
    # `max` takes the first among equals, so the order of the list decides the rest.
    (score, *_), one = max(ranked, key=lambda pair: pair[0])
    return (score, one) if score else (0, None)


def _entry(part: object) -> Entry:
    data = part if isinstance(part, Mapping) else {}
    return Entry(title=title_of(part) or " ".join(str(part).split())[:200], data=data)


def _score(text: str, title: str) -> int:
    said, name = " ".join(_words(text)), " ".join(_words(title))
    if not said or not name:
        return 4 if text.strip() and text.strip() == title.strip() else 0
    if said == name:
        return 4
    if said in name:
        return 3
    if f" {name} " in f" {said} ":
        return 2
    meant = set(_words(text)) - _FILLER
    return 1 if meant and meant <= set(_words(title)) else 0


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
