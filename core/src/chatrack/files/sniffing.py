"""The type of a file, from its first bytes.

The table is our own, because of what it is for: no browser and no reader may find something in a file that this server takes
for something else. Libraries for this compare signatures only; they do not see HTML, SVG and scripts, nor the header of a PDF
that does not stand first. Where browsers look is written down in WHATWG's MIME Sniffing Standard.
"""

import codecs
import re
import struct

from chatrack.files.types import (
    GZIP,
    HTML,
    OCTET_STREAM,
    OLE,
    PDF,
    PLAIN_TEXT,
    PORTABLE_EXECUTABLE,
    SCRIPT,
    SVG,
    XML,
    ZIP,
)

HEAD = 4096
"""How many of the first bytes are enough, and how many of the last ones."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    # Where, what, and the type of a file that has it there. None is what a text may begin with by chance.
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"8BPS\x00\x01", "image/vnd.adobe.photoshop"),
    (0, b"%PDF-", PDF),
    (0, b"PK\x03\x04", ZIP),
    (0, b"PK\x05\x06", ZIP),  # without a file in it
    (0, b"PK\x07\x08", ZIP),  # in several parts
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (0, b"\x1f\x8b\x08", GZIP),
    (4, b"1AY&SY", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/x-mach-binary"),  # for several processors; of Java, too
    (0, b"\x00asm", "application/wasm"),
    (0, b"L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    (0, b"ID3\x02", "audio/mpeg"),
    (0, b"ID3\x03", "audio/mpeg"),
    (0, b"ID3\x04", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC\x00", "audio/flac"),
    (0, b"OggS\x00", "audio/ogg"),
    (0, b"MThd\x00", "audio/midi"),
    (0, b"#!AMR\n", "audio/amr"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
)

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heic",
    b"msf1": "image/heic",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
"""What kinds of files in the format of MPEG-4 call themselves; others are video."""

_PDF_WITHIN = 1024
"""How far into a file readers look for the header of a PDF."""

_PDF_LINE = re.compile(r"(?:^|[\r\n])[\t ]*+%PDF-\d\.\d[\t ]*+[\r\n]")

_ZIP_MEMBER = re.compile(rb"PK(?:\x03\x04.{22}(..)..|\x01\x02.{24}(..).{16})", re.DOTALL)
"""The header of a file in a zip, before the name: the one before its bytes, or the one in the list at the end."""

_OFFICE = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

_NAMED_IN_ZIP = re.compile(rb"mimetype(application/(?:vnd\.oasis\.opendocument\.[a-z-]+|epub\+zip))")

_BEFORE_MARKUP = re.compile(r"(?:[\t\n\f\r ]++|<!--(?:>|->|.*?-->)|<\?xml.*?\?>)*+", re.DOTALL)
"""What may stand before the first tag: space, comments, and XML's own line; a comment may end as browsers let it end."""

_FIRST_TAG = re.compile(r"<!doctype\s+([\w.-]+)|<(?:[\w.-]+:)?([\w.-]+)(?=[\s/>]|\Z)", re.IGNORECASE)

_HTML_TAGS = frozenset(
    [
        "html",
        "head",
        "title",
        "base",
        "link",
        "meta",
        "style",
        "script",
        "body",
        "frameset",
        "iframe",
        "object",
        "embed",
        "noscript",
    ]
)
"""With what a page begins. `<div>`, `<p>` and `<h1>` are not here: many a Markdown file begins with them."""


def sniff(head: bytes, tail: bytes = b"") -> str:
    """Return the type of a file.

    It is one of the table, `text/html`, `image/svg+xml`, `text/xml`, `text/x-script` for what begins with `#!`, `text/plain` for
    other UTF-8 without NUL or UTF-16 with its mark, or else `application/octet-stream`.

    Args:
        head: its first bytes, `HEAD` of them or all.
        tail: its last bytes. They tell Office files from other zips if the first ones do not.
    """
    return _by_signature(head, tail) or _by_text(head)


def _by_signature(head: bytes, tail: bytes) -> str | None:
    for offset, signature, mime in _SIGNATURES:
        if head.startswith(signature, offset):
            return _kind_of_zip(head, tail) if mime == ZIP else mime
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "audio/aiff"
    if head[:3] == bytes(3) and head[4:8] == b"ftyp":
        return _kind_of_mpeg4(head)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    if b"\x00" not in head:
        return None  # what follows might be words
    if head.startswith(b"MZ"):
        return PORTABLE_EXECUTABLE
    if head[4:8] in {b"moov", b"mdat", b"wide"}:
        return "video/quicktime"
    if head[257:262] == b"ustar":
        return "application/x-tar"
    return None


def _kind_of_mpeg4(head: bytes) -> str:
    brand = head[8:12]
    if brand in {b"mif1", b"msf1"}:  # any still image; what follows says which
        size = min(int.from_bytes(head[:4], "big"), 256)
        return "image/avif" if b"avif" in head[16:size] else "image/heic"
    return _BRANDS.get(brand, "video/3gpp" if brand.startswith(b"3g") else "video/mp4")


def _kind_of_zip(head: bytes, tail: bytes) -> str:
    named = _NAMED_IN_ZIP.match(head, 30)
    if named is not None:
        return named[1].decode()
    names = [*_names_in_zip(head), *_names_in_zip(tail)]
    if b"[Content_Types].xml" in names:
        for folder, mime in _OFFICE.items():
            if any(name.startswith(folder) for name in names):
                return mime
    return ZIP


def _names_in_zip(data: bytes) -> list[bytes]:
    names = []
    for header in _ZIP_MEMBER.finditer(data):
        (length,) = struct.unpack("<H", header[1] or header[2])
        names.append(data[header.end() : header.end() + length])
    return names


def _by_text(head: bytes) -> str:
    text = _decoded(head)
    if text is None:
        return PDF if b"%PDF-" in head[:_PDF_WITHIN] else OCTET_STREAM
    markup = _markup(text)
    if markup is not None:
        return markup
    if _PDF_LINE.search(text[: _PDF_WITHIN + 16]):
        return PDF
    return SCRIPT if text.startswith("#!") else PLAIN_TEXT


def _decoded(head: bytes) -> str | None:
    """Return the text, up to where it is cut; None if it is none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\x00" in head:
        return None
    else:
        encoding = "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text


def _markup(text: str) -> str | None:
    before = _BEFORE_MARKUP.match(text)
    assert before is not None
    rest = text[before.end() :]
    is_xml = text.lstrip("\t\n\f\r ").startswith("<?xml")
    if rest.startswith("<!--") and not is_xml:
        return HTML  # as browsers have it: no end of the comment is in sight
    tag = _FIRST_TAG.match(rest)
    if tag is not None:
        doctype, name = tag[1], (tag[1] or tag[2]).lower()
        if name == "svg":
            return SVG
        if name in _HTML_TAGS:
            return HTML
        is_xml = is_xml or doctype is not None
    return XML if is_xml else None
