"""Decides whether what begins in a text is a link that is refused."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from chatrack.hosts import is_listed

REMOVED = "(link removed)"
"""What stands in place of a link."""

_MAX_SCHEME = 64
_MAX_HOST = 260
_MAX_SLASHES = 20
_MAX_SPACE = 200
"""Whatever is longer is refused."""

_ATTRIBUTES = (
    "action", "background", "cite", "content", "data", "formaction", "href", "longdesc", "ping", "poster", "src", "srcset", "url",
)  # fmt: skip
_BARE = ("http:", "https:", "ftp:", "mailto:", "xmpp:", "www.")
"""What begins a link in plain text, for renderers that make links of URLs."""
_STYLE = "url("

_ATTRIBUTE = re.compile(
    rf"(?:{'|'.join(_ATTRIBUTES)})\s{{0,{_MAX_SPACE}}}=\s{{0,{_MAX_SPACE}}}[\"']?", re.IGNORECASE
)
START = re.compile(
    rf"\]\(|\]:|<|{_ATTRIBUTE.pattern}|url\(\s{{0,{_MAX_SPACE}}}[\"']?|{'|'.join(map(re.escape, _BARE))}",
    re.IGNORECASE,
)


def _prefixes(words: Iterable[str]) -> str:
    """Return a pattern of the proper beginnings of words."""
    return "|".join(sorted({re.escape(word[:end]) for word in words for end in range(1, len(word))}))


UNFINISHED = re.compile(
    rf"(?:\]|{_prefixes([*_BARE, *_ATTRIBUTES, _STYLE])}"
    rf"|(?:{'|'.join(_ATTRIBUTES)})\s{{0,{_MAX_SPACE}}}(?:=\s{{0,{_MAX_SPACE}}})?)\Z",
    re.IGNORECASE,
)
"""The end of a text that more text may turn into a match of `START`."""

_SPACE = re.compile(rf"[\x00-\x20]{{0,{_MAX_SPACE}}}")
_DELAY = re.compile(rf"[\x00-\x20.,;0-9]{{0,{_MAX_SPACE}}}")
"""What may stand before the URL of a page that is to be loaded later, in the `content` of a `<meta>`."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SCHEME_OVER_LINES = re.compile(r"[A-Za-z][A-Za-z0-9+.\t\r\n-]*")
_SLASHES = re.compile(r"[/\\]*")
_SLASHES_OVER_LINES = re.compile(r"[/\\\t\r\n]*")
_HOST = re.compile(r"[A-Za-z0-9.-]*")
_PORT = re.compile(r":[0-9]{0,5}")
_WEB_URL = re.compile(r"https?://([A-Za-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?#][^\s\\]*)?", re.IGNORECASE)
_BARE_CLOSERS = " \t\r\n\"'`)>]<,.;*"

_WEB = {"http", "https"}
_ACTIVE = {"about", "blob", "cid", "data", "file", "ftp", "intent", "javascript", "mailto", "sms", "tel", "vbscript", "xmpp"}  # fmt: skip
"""Schemes that mean something without two slashes. Others after a `<`, such as `xs:` in XML, are just names."""

Context = Literal["link", "attribute", "autolink", "bare"]


def leads_to(url: str, hosts: Sequence[str]) -> bool:
    """Return whether a URL leads to a host in a list, in any reading of it."""
    match = _WEB_URL.fullmatch(url)
    return match is not None and is_listed(match[1], hosts)


class Verdict:
    """What to do with what begins a link.

    Args:
        end: where to go on.
        refused: the context of the link, if it is refused.
        start: where the URL begins.
        replacement: how the URL is written from there to `end`; None if the text stays as it is.
    """

    __slots__ = ("end", "refused", "replacement", "start")

    def __init__(
        self, end: int, *, refused: Context | None = None, start: int = 0, replacement: str | None = None
    ) -> None:
        self.end = end
        self.refused = refused
        self.start = start
        self.replacement = replacement


class LinkJudge:
    """Reads URLs as a browser would.

    Args:
        hosts: the hosts that links may lead to, in lower case; `*.example.com` stands for all below `example.com`.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = hosts

    def judge(self, text: str, match: re.Match[str], before: str, *, final: bool) -> Verdict | None:
        """Return what to do with what begins here, or None if that depends on text to come.

        Args:
            text: the decoded text.
            match: a match of `START` in it.
            before: the character before the match.
            final: whether the text is complete.
        """
        opener = match.group().lower()
        at = match.end()
        if opener in _BARE:
            return self._bare(text, match.start(), opener, before, final=final)
        context: Context = "link" if opener[0] == "]" else "autolink" if opener == "<" else "attribute"
        if opener.startswith("srcset"):
            # Has any number of URLs. Without its name, none is loaded.
            name_end = match.start() + len("srcset")
            return Verdict(name_end, start=match.start(), replacement=REMOVED)
        if context != "autolink":
            at = _skip(_DELAY if opener.startswith("content") else _SPACE, text, at)
            if context == "link" and text.startswith("<", at):
                at = _skip(_SPACE, text, at + 1)
            if at - match.end() >= _MAX_SPACE:
                return Verdict(at, refused=context)
        angled = context == "link" and bool(text[match.end() : at].strip())
        # Where a URL may have tabs or line breaks in it, browsers ignore them.
        over_lines = angled or context == "attribute"
        if context == "link":
            closers = ">" if angled else ") \t\n"
        elif opener.startswith(_STYLE):
            closers = f"{opener[-1]})"
        else:
            closers = opener[-1] if opener[-1] in "\"'" else ">"
        if at == len(text) and not final:
            return None
        scheme = (_SCHEME_OVER_LINES if over_lines else _SCHEME).match(text, at)
        if scheme is not None:
            colon = scheme.end()
            if colon == len(text) and not final and colon - at <= _MAX_SCHEME:
                return None
            if not text.startswith(":", colon) or colon - at > _MAX_SCHEME:
                return Verdict(match.end())
            name = re.sub(r"[\t\r\n]", "", scheme.group()).lower()
            if name in _WEB:
                return self._host(
                    text, at, colon + 1, context, name, closers, over_lines=over_lines, final=final
                )
            if len(text) < colon + 3 and not final:
                return None
            following = text[colon + 1 : colon + 3]
            is_url = name in _ACTIVE or (
                not following.strip("/\\") and len(following) == 2
                if context == "autolink"
                else not following[:1].isspace()
            )
            return Verdict(colon + 1, refused=context) if is_url else Verdict(match.end())
        if context == "autolink":
            return Verdict(match.end())
        slashes = (_SLASHES_OVER_LINES if over_lines else _SLASHES).match(text, at)
        assert slashes is not None
        if (
            slashes.end() == len(text)
            and not final
            and slashes.end() - at <= _MAX_SLASHES
            and slashes.group()
        ):
            return None
        if len(re.sub(r"[\t\r\n]", "", slashes.group())) < 2:
            return Verdict(match.end())
        return self._host(text, at, at, context, "", closers, over_lines=over_lines, final=final)

    def _bare(self, text: str, start: int, opener: str, before: str, *, final: bool) -> Verdict | None:
        at = start + len(opener)
        if opener == "www.":
            if before.isalnum():
                return Verdict(at)
            return self._host(text, start, start, "bare", "", _BARE_CLOSERS, final=final)
        if at == len(text) and not final:
            return None
        if at == len(text) or text[at].isspace():
            return Verdict(at)
        if opener[:-1] in _WEB:
            return self._host(text, start, at, "bare", opener[:-1], _BARE_CLOSERS, final=final)
        return Verdict(at, refused="bare")

    def _host(
        self,
        text: str,
        start: int,
        at: int,
        context: Context,
        scheme: str,
        closers: str,
        *,
        over_lines: bool = False,
        final: bool,
    ) -> Verdict | None:
        """Judge a URL by its host.

        Args:
            text: the text.
            start: where the URL begins.
            at: where its slashes begin, or the host if there are none.
            context: what it was found in.
            scheme: `http`, `https`, or nothing.
            closers: characters that end the URL, even where a host could begin.
            over_lines: whether the URL may have tabs or line breaks in it.
            final: whether the text is complete.
        """
        slashes = (_SLASHES_OVER_LINES if over_lines else _SLASHES).match(text, at)
        assert slashes is not None
        if slashes.end() - at > _MAX_SLASHES:
            return Verdict(slashes.end(), refused=context)
        host = _HOST.match(text, slashes.end())
        assert host is not None
        if len(host.group()) > _MAX_HOST:
            return Verdict(host.end(), refused=context)
        port = _PORT.match(text, host.end())
        end = host.end() if port is None or len(port.group()) == 1 else port.end()
        if not final and max(end, host.end() if port is None else port.end()) == len(text):
            return None
        following = text[end : end + 1]
        if not host.group():
            # As in “begins with https://”. What else follows, a browser may take for a host.
            return Verdict(end) if following in closers else Verdict(end, refused=context)
        if context == "bare" and host.group().lower() == "www.":
            return Verdict(end)
        if not is_listed(host.group(), self._hosts) or following in {"@", "%", "\\"}:
            return Verdict(end, refused=context)
        # Some renderers end the host here, and others go on: a slash ends it for all of them.
        ends = following in {"", "/", "?", "#"} or (following.isspace() and not over_lines)
        head = f"{scheme}://" if scheme else "//" if slashes.group() else ""
        return Verdict(
            end, start=start, replacement=f"{head}{text[slashes.end() : end]}{'' if ends else '/'}"
        )


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    assert match is not None
    return match.end()
