"""Names of files that users send."""

import re
import unicodedata
from urllib.parse import quote

MAX_NAME = 300
"""The longest name, in characters."""

_MAX_EXTENSION = 20
"""The longest part after the last dot that is kept when a name is cut."""

_NO_NAME = "file"

_SEPARATORS = re.compile(r"[/\\]+")

_BLANK = re.compile(
    "[\u034f\u17b4\u17b5\u180b-\u180f\U000e0100-\U000e01ef"  # of no width; the last can carry hidden text
    "\u115f\u1160\u2800\u3164\uffa0"  # look like a space
    "\ufff0-\uffff]"  # stand for what is not there
)
"""What is not seen, although Unicode calls it a letter, a mark or a symbol."""

_CATEGORIES_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
"""Controls; marks of direction, tags and what has no width; and surrogates without their other half."""

_ATTR_CHAR = "!#$&+-.^_`|~"
"""What RFC 8187 allows in an extended value besides letters and digits."""

_NOT_QUOTABLE = re.compile(r'[^ -~]|["\\%]')
"""What the plain `filename` of a header cannot hold, or what browsers decode there although they should not."""


def clean_name(name: str) -> str:
    """Return a name that is safe to show as text, to store, and to offer for a download.

    It is the last part of a path, on one line, without characters that cannot be seen, without dots and spaces at its ends, and
    never empty. Everything else stays, `<script>` and quotes too: they are characters of a name, and whatever puts a name into
    HTML, a header or SQL escapes it there.

    Args:
        name: what the client says.
    """
    parts = [part for part in _SEPARATORS.split(name) if part]
    # Whitespace first: a line break between two words becomes a space. Then again, around what is gone.
    line = " ".join(_BLANK.sub("", parts[-1]).split()) if parts else ""
    visible = "".join(char for char in line if unicodedata.category(char) not in _CATEGORIES_UNSEEN)
    cleaned = " ".join(visible.split()).strip(". ")
    return _shortened(cleaned) or _NO_NAME


def _shortened(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _MAX_EXTENSION:
        return name[:MAX_NAME].rstrip(". ")
    return stem[: MAX_NAME - len(dot) - len(extension)].rstrip(". ") + dot + extension


def content_disposition(name: str, *, inline: bool) -> str:
    """Return the value of the header `Content-Disposition` (RFC 6266) that offers a file under a name.

    It is ASCII and one line, whatever the name holds.

    Args:
        name: the name; it is cleaned.
        inline: whether browsers may show the file in place of offering it for a download.
    """
    cleaned = clean_name(name)
    fallback = _NOT_QUOTABLE.sub("_", cleaned)
    value = f'{"inline" if inline else "attachment"}; filename="{fallback}"'
    if fallback != cleaned:
        value += f"; filename*=UTF-8''{quote(cleaned, safe=_ATTR_CHAR)}"
    return value
