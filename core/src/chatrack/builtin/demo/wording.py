"""English, well enough for orders: what is asked for, of what, and what is only politeness."""

import re

import msgspec

_LEAD = re.compile(
    r"(?:(?:please|hey|hi|hello|ok|okay|now|so|and|then|also|well)\b[\s,!.:]*"
    r"|(?:can|could|would|will) you\s+"
    r"|(?:i'd like (?:you )?to|i would like (?:you )?to|i want (?:you )?to|i need (?:you )?to|let's|let us)\s+)+",
    re.IGNORECASE,
)
_THANKS = (" please", " thanks", " thank you")
_PAIRS = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "\u2018": "\u2019", "`": "`"}
_LIST_NOUNS = r"(?:to-?dos?|to do|tasks?|items?|entries|reminders?|notes?)"
_DETERMINERS = r"(?:my|the|our|this|a|an|one|another|new|following)"
_TO_LIST = re.compile(
    rf"\s+(?:to|on|onto|in|into|from|off)\s+(?:{_DETERMINERS}\s+)*"
    rf"(?:{_LIST_NOUNS}(?:\s+lists?)?|(?:\w+\s+)?lists?)$",
    re.IGNORECASE,
)

_ORDERS: tuple[tuple[str, str], ...] = (
    (
        "create",
        r"(?:remember|remind me|note(?: down)?|write down)\b(?:\s+(?:to|that|about|of)\b)?[\s:]*(?P<what>.*)",
    ),
    ("create", r"(?:to-?do|task|reminder)\s*:\s*(?P<what>.+)"),
    ("create", r"(?:add|create)\b[\s:]*(?P<what>.*)"),
    ("create", rf"(?:make|new)\s+(?P<what>(?:{_DETERMINERS}\s+)*{_LIST_NOUNS}\b.*)"),
    (
        "list",
        r"(?:list|show(?: me)?|display|view|give me|what(?:['\u2019]s| is| are| do i have)?|which|do i have)\b\s*(?P<what>.*)",
    ),
    ("complete", r"(?:complete|finish|close|check off|tick off|cross off)\b\s*(?P<what>.*)"),
    ("complete", r"(?:check|tick|cross)\s+(?P<what>.+?)\s+off"),
    ("complete", r"mark\s+(?P<what>.+?)\s+(?:as\s+)?(?:done|completed?|finished)"),
    (
        "complete",
        r"(?:i(?:['\u2019]m| am|['\u2019]ve| have)?\s+)?(?:done|finished|completed)\b(?:\s+with\b)?[\s:]*(?P<what>.*)",
    ),
    ("delete", r"(?:delete|remove|erase|get rid of)\b\s*(?P<what>.*)"),
    ("change", r"(?:rename|change|set|update|edit|make|mark)\b\s*(?P<what>.*)"),
    ("complete", r"(?P<what>.+?)\s+(?:is|are)\s+(?:done|completed|finished)"),
)
_COMPILED = [(kind, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, pattern in _ORDERS]
_TO = re.compile(r"\s+(?:to|into|as)\s+", re.IGNORECASE)
_PART = re.compile(
    r"(?:the\s+)?(?:title|name|text|(?P<part>status|priority|due)(?:\s+date)?)\s+of\s+", re.IGNORECASE
)
_ID = re.compile(
    r"\bid\s*[:=#]?\s*[\"'“]?(?=[\w-]*\d)(?P<said>[\w-]+)"
    r"|(?P<long>\b[a-z]{2,}_[0-9a-f]{8,}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|#(?P<number>\w+)",
    re.IGNORECASE,
)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants done.

    Args:
        kind: `create`, `list`, `complete`, `delete` or `change`.
        what: the rest of the message: the title of a new thing, or which thing is meant.
    """

    kind: str
    what: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One way to read `change X to Y`.

    Args:
        thing: X.
        new: Y.
        part: what of X is to change, if the user said so: `status`, `priority` or `due`.
    """

    thing: str
    new: str
    part: str = ""


def plain(message: str) -> str:
    """Give a message without what is only politeness: a greeting, "could you", "please", a full stop."""
    text = " ".join(message.split())
    lead = _LEAD.match(text)
    return _without_tail(text[lead.end() :] if lead else text)


def order(text: str) -> Order | None:
    """Find out what a plain message orders, or None if it orders nothing known."""
    for kind, pattern in _COMPILED:
        match = pattern.fullmatch(text)
        if match is not None:
            return Order(kind=kind, what=match["what"].strip())
    return None


def subject(what: str, nouns: set[str]) -> str:
    """Find the thing itself in what the user said of it.

    Args:
        what: such as `a todo: buy milk`, `"buy milk" to my list` or `the todo buy milk`.
        nouns: what the tool calls such things, in the singular.
    """
    return unquoted(_without_tail(without_list(_without_noun(what, nouns), nouns)))


def quoted(what: str, nouns: set[str]) -> tuple[str, str] | None:
    """Find the thing in quotes that what the user said of it begins with.

    Returns:
        What is in the quotes and what follows them, or None if there are none.
    """
    text = _without_noun(what, nouns)
    closing = _PAIRS.get(text[:1])
    end = text.find(closing, 1) if closing else -1
    if end < 2 or text[end + 1 : end + 2].isalnum():  # then it may be an apostrophe
        return None
    return text[1:end].strip(), text[end + 1 :]


def without_list(text: str, nouns: set[str]) -> str:
    """Drop the list's name from the end: `buy milk to my todos` is `buy milk`."""
    own = "|".join(re.escape(noun) for noun in sorted(nouns))
    short = _TO_LIST.sub("", text)
    if short == text and own:
        tail = rf"\s+(?:to|on|onto|in|into|from|off)\s+(?:{_DETERMINERS}\s+)+(?:{own})(?:s|es)?(?:\s+list)?$"
        short = re.sub(tail, "", text, flags=re.IGNORECASE)
    return short


def splits(what: str) -> list[Change]:
    """Give every way to read `X to Y`: either side may hold another `to`."""
    part = _PART.match(what)
    text = what[part.end() :] if part else what
    name = (part["part"] or "").lower() if part else ""
    return [
        Change(thing=text[: to.start()].strip(), new=text[to.end() :].strip(), part=name)
        for to in _TO.finditer(text)
    ]


def id_in(text: str) -> str | None:
    """Find an id that the user gave: `id 17`, `#17`, a UUID or `todo_0192…`."""
    match = _ID.search(text)
    return (match["said"] or match["long"] or match["number"]) if match else None


def unquoted(text: str) -> str:
    """Take the quotes off a text that stands in quotes as a whole."""
    closing = _PAIRS.get(text[:1])
    return text[1:-1].strip() if closing and len(text) > 2 and text.endswith(closing) else text


def _without_tail(text: str) -> str:
    while True:
        text = text.rstrip(" \n\t.!?;,:…")
        thanks = next((word for word in _THANKS if text.lower().endswith(word)), None)
        if thanks is None:
            return text
        text = text[: -len(thanks)]


def _without_noun(what: str, nouns: set[str]) -> str:
    own = "|".join([*(re.escape(noun) for noun in sorted(nouns)), _LIST_NOUNS])
    named = r"(?:\s+(?:called|named|titled|saying|to|about|for)\b)"
    patterns = (
        rf"(?:{_DETERMINERS}\s+)+(?:{own})(?:s|es)?(?:{named}|\s*[:,\u2013-])?\s+(?=\S)",
        rf"(?:{own})(?:s|es)?(?:{named}\s*:?|\s*[:\u2013])\s*(?=\S)",
    )
    for pattern in patterns:
        match = re.match(pattern, what, re.IGNORECASE)
        if match:
            return what[match.end() :]
    bare = "|".join(re.escape(noun) for noun in sorted(nouns))
    match = re.match(rf"(?:{bare})\s+(?=\S)", what, re.IGNORECASE) if bare else None
    return what[match.end() :] if match else what
