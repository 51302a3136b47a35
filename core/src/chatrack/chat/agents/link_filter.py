"""Removes links and images whose host is not listed from a model's text, while it is streamed.

A model that was talked into it by what it read could put what it knows into the URL of an image, which a browser
fetches without being asked. What renders the text is not known here, and renderers disagree on what is a link. So the
filter does not parse Markdown: it finds whatever one of them could take for the beginning of a URL, reads the host as
a browser would, and replaces what it refuses by inert text.
"""

import re
from collections.abc import Sequence
from html.entities import html5

from chatrack.chat.agents.link_judge import REMOVED, START, UNFINISHED, Context, LinkJudge, Verdict
from chatrack.chat.agents.sanitize import sanitize_text

_NUMERIC_ENTITY = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,7})|([0-9]{1,8}));?")
_NAMED_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{0,31};)")
_UNFINISHED_ENTITY = re.compile(r"&(?:#(?:[xX]?[0-9a-fA-F]{0,8})?|[A-Za-z][A-Za-z0-9]{0,31})?\Z")
_LEADING_ZEROS = re.compile(r"(&#[xX]?0)0+")
_ESCAPED = frozenset("!\"#$%'()*+,-.:;<=>?@[]^_`{|}~")
"""What a backslash may stand before without a meaning of its own. Before a slash, which may be written as an entity,
browsers take it for another one."""


def showable_text(text: str, link_hosts: Sequence[str] | None) -> str:
    """Return what may be shown of a whole text of a model, before any guardrail.

    Args:
        text: what the model wrote.
        link_hosts: the hosts that links may lead to; None for all.
    """
    sanitized = sanitize_text(text)
    return sanitized if link_hosts is None else LinkFilter.apply(sanitized, link_hosts)


class LinkFilter:
    """Filters one text, given in pieces. The pieces do not change what comes out.

    Args:
        hosts: the hosts that links may lead to, in lower case; `*.example.com` stands for all below `example.com`.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._judge = LinkJudge(hosts)
        self._held = ""
        """Text that may be the beginning of a link."""
        self._after = ""
        """The last character that is not held."""
        self._skipping: Context | None = None
        """The context of the link that is being removed."""
        self._depth = 0
        self._tail = ""
        """Punctuation at the end of what is being removed: it may belong to the sentence."""

    @classmethod
    def apply(cls, text: str, hosts: Sequence[str]) -> str:
        """Return a whole text without the links that are refused."""
        links = cls(hosts)
        return links.feed(text) + links.finish()

    def feed(self, text: str) -> str:
        """Take the next piece, and return what can be shown now."""
        self._held += text
        return self._advance(final=False)

    def finish(self) -> str:
        """Return what was held back: the text is complete."""
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> str:
        if "&#" in self._held:
            self._held = _LEADING_ZEROS.sub(r"\1", self._held)
        text, places, raw, rest = _decode(self._held, self._after, final=final)
        output: list[str] = []
        at = 0
        while at < len(text):
            if self._skipping is not None:
                at = self._skip(text, at, output)
                continue
            match = START.search(text, at)
            if match is None:
                unfinished = None if final else UNFINISHED.search(text, at)
                stop = len(text) if unfinished is None else unfinished.start()
                self._copy(raw, places, at, stop, output)
                at = stop
                break
            self._copy(raw, places, at, match.start(), output)
            at = match.start()
            before = text[at - 1] if at else self._after
            verdict = self._judge.judge(text, match, before, final=final)
            if verdict is None:
                break
            at = self._apply(raw, text, places, match, verdict, output)
        if final and self._skipping is not None:
            output.append(self._tail)
            self._tail, self._skipping = "", None
        if at:
            self._after = text[at - 1]
        self._held = raw[places[at] :] + rest
        return "".join(output)

    def _copy(self, raw: str, places: list[int], start: int, stop: int, output: list[str]) -> None:
        output.append(raw[places[start] : places[stop]])

    def _apply(
        self,
        raw: str,
        text: str,
        places: list[int],
        match: re.Match[str],
        verdict: Verdict,
        output: list[str],
    ) -> int:
        """Put out what a verdict says, and return where to go on."""
        start, end = match.start(), verdict.end
        if verdict.refused is not None:
            opener = text[start : match.end()]
            if opener == "](":
                output.append(f"] {REMOVED}")
            elif verdict.refused in {"autolink", "bare"}:
                output.append(REMOVED)
            else:
                self._copy(raw, places, start, match.end(), output)
                output.append(REMOVED if verdict.refused == "attribute" else f" {REMOVED}")
            self._skipping, self._depth = verdict.refused, 0
            if verdict.refused == "link" and opener != "](":
                self._skipping = "bare"
        elif verdict.replacement is not None:
            self._copy(raw, places, start, verdict.start, output)
            output.append(verdict.replacement)
        else:
            self._copy(raw, places, start, end, output)
        return end

    # -- the rest of a link that is being removed -----------------------------------------------------------

    def _skip(self, text: str, at: int, output: list[str]) -> int:
        """Drop what belongs to a refused link, and return where to go on."""
        while at < len(text):
            char = text[at]
            if self._skipping == "link":
                if char == "\n":
                    break
                at += 1
                if char == ")" and self._depth == 0:
                    self._skipping = None
                    return at
                self._depth += (char == "(") - (char == ")")
                continue
            if self._skipping == "autolink" and char == ">":
                self._skipping, self._tail = None, ""
                return at + 1
            if char.isspace() or char in '<>"`[]{}|^\\' or char > "\x7f":
                break
            if char == ")" and self._depth == 0:
                break
            self._depth += (char == "(") - (char == ")")
            self._tail = (self._tail + char)[-8:] if char in ".,;:!?*_~'" else ""
            at += 1
        else:
            return at
        output.append(self._tail)
        self._skipping, self._tail = None, ""
        return at


def _decode(raw: str, before: str, *, final: bool) -> tuple[str, list[int], str, str]:
    """Decode entities and backslash escapes, as renderers do before they look at a URL.

    A backslash after a slash or another one stays: in the attribute of a tag, both are part of the URL.

    Args:
        raw: the text.
        before: the decoded character before it.
        final: whether the text is complete.

    Returns:
        The decoded text; for each of its characters, and for its end, the place in what was decoded; what was decoded,
        with a space for each entity of a control character, which browsers ignore in URLs; and the rest, which is not
        complete.
    """
    if "&" not in raw and "\\" not in raw:
        return raw, list(range(len(raw) + 1)), raw, ""
    end = len(raw)
    if not final and (unfinished := _UNFINISHED_ENTITY.search(raw)):
        end = unfinished.start()
    chars: list[str] = []
    places: list[int] = []
    decoded: list[str] = []
    at = length = 0
    while at < end:
        source = char = raw[at]
        size = 1
        if char == "&":
            char, size = _entity(raw, at)
            source = raw[at : at + size]
            if char < " ":
                source = char = " "
        elif char == "\\":
            if at + 1 == end and not final:
                break
            if before not in {"/", "\\"} and raw[at + 1 : at + 2] in _ESCAPED:
                char, size = raw[at + 1], 2
                source = raw[at : at + 2]
        chars += char
        places += [length] * len(char)
        decoded.append(source)
        before = char
        length += len(source)
        at += size
    return "".join(chars), [*places, length], "".join(decoded), raw[at:]


def _entity(raw: str, at: int) -> tuple[str, int]:
    """Return the character of an entity and its length in the text; an ampersand alone is none."""
    match = _NUMERIC_ENTITY.match(raw, at)
    if match is not None:
        number = int(match[1], 16) if match[1] else int(match[2])
        return chr(number) if number < 0x110000 else "\ufffd", len(match.group())
    match = _NAMED_ENTITY.match(raw, at)
    if match is None or match[1] not in html5:
        return "&", 1
    return html5[match[1]], len(match.group())
