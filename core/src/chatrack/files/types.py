"""Types of files: what they can be used for, and whether what a client says of one can be true."""

import re
from typing import Literal

OCTET_STREAM = "application/octet-stream"
PLAIN_TEXT = "text/plain"
XML = "text/xml"
HTML = "text/html"
SVG = "image/svg+xml"
SCRIPT = "text/x-script"
PDF = "application/pdf"
ZIP = "application/zip"
GZIP = "application/gzip"
OLE = "application/x-ole-storage"
PORTABLE_EXECUTABLE = "application/vnd.microsoft.portable-executable"

_UNSPECIFIC = frozenset(
    {"", OCTET_STREAM, "binary/octet-stream", "application/unknown", "application/x-unknown"}
)
"""What clients say if they do not know."""

_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/apng": "image/png",
    "image/x-png": "image/png",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "image/vnd.microsoft.icon": "image/x-icon",
    "image/x-photoshop": "image/vnd.adobe.photoshop",
    "application/x-photoshop": "image/vnd.adobe.photoshop",
    "image/svg": SVG,
    "application/x-pdf": PDF,
    "application/x-zip": ZIP,
    "application/x-zip-compressed": ZIP,
    "application/x-gzip": GZIP,
    "application/xml": XML,
    "application/xhtml+xml": HTML,
}

_IMAGES = frozenset(
    f"image/{name}"
    for name in [
        "png",
        "jpeg",
        "gif",
        "webp",
        "avif",
        "heic",
        "bmp",
        "tiff",
        "x-icon",
        "vnd.adobe.photoshop",
        "svg+xml",
    ]
)

_ARCHIVES = frozenset({
    GZIP,
    "application/x-bzip2",
    "application/x-bzip",
    "application/x-xz",
    "application/zstd",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/x-rar",
    "application/x-rar-compressed",
    "application/x-tar",
    "application/x-gtar",
    "application/x-tgz",
    "application/x-compressed",
    "application/x-compressed-tar",
})  # fmt: skip

_EXECUTABLES = frozenset({
    PORTABLE_EXECUTABLE,
    "application/x-msdownload",
    "application/x-msdos-program",
    "application/x-dosexec",
    "application/x-ms-dos-executable",
    "application/x-ms-shortcut",
    "application/x-elf",
    "application/x-executable",
    "application/x-pie-executable",
    "application/x-sharedlib",
    "application/x-mach-binary",
    "application/java-vm",
    "application/x-java",
    "application/wasm",
})  # fmt: skip

_OPEN_FORMATS = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/epub+zip",
)

_OLD_OFFICE = frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})

_NAMED_LIKE_TEXT = frozenset({
    "video/mp2t",  # what browsers make of TypeScript's `.ts`
    "video/vnd.dlna.mpeg-tts",
    "audio/x-mpegurl",
    "audio/mpegurl",
    "application/vnd.ms-excel",  # and of `.csv`, where Excel is installed
})  # fmt: skip

_READ_BY_MODELS = frozenset(f"image/{name}" for name in ["png", "jpeg", "gif", "webp", "avif", "bmp"])
"""The images that the decoder can read. Those of iPhones (`image/heic`) are not among them."""

_SAFE_INLINE = _READ_BY_MODELS | {PDF}

_TEXTS = re.compile(
    r"text/.+|.+[/+](?:json|xml|yaml)|application/(?:x-)?(?:yaml|toml|sql|ndjson|jsonlines|graphql|latex|tex|"
    r"javascript|ecmascript|typescript|sh|shellscript|python|perl|ruby|php|httpd-php)"
)


def _canonical(mime: str) -> str:
    bare = mime.partition(";")[0].strip().lower()
    return _ALIASES.get(bare, bare)


def agrees(declared: str, sniffed: str) -> bool:
    """Return whether what a client says of a file can be true.

    One that says nothing in particular is right. Many formats are text, or zips, under another name. What has a signature of its
    own must be what it is called: a PNG that is called a JPEG is not, nor is a page that is called a text, nor a text that is
    called an image.

    Args:
        declared: the type that the client says, with or without parameters.
        sniffed: what `sniff` found.
    """
    declared, sniffed = _canonical(declared), _canonical(sniffed)
    if declared in _UNSPECIFIC or declared == sniffed:
        return True
    if sniffed in {HTML, SVG}:
        return declared == XML
    if sniffed == XML and declared == SVG:
        return True
    if sniffed.startswith("text/"):
        return declared in _NAMED_LIKE_TEXT or not _has_signature(declared)
    if sniffed == OCTET_STREAM:  # a text in an old encoding, and every format that is not in the table
        return not _has_signature(declared)
    if sniffed == ZIP or sniffed.startswith(_OPEN_FORMATS):
        return _is_zip(declared) or declared in _OLD_OFFICE
    if sniffed == OLE:
        # Today's formats, too: Office wraps what has a password.
        return declared.startswith(("application/vnd.ms-", "application/x-ms", _OPEN_FORMATS[0])) or (
            declared in _OLD_OFFICE
        )
    if sniffed in _ARCHIVES:
        return declared in _ARCHIVES or (sniffed == GZIP and declared.endswith("+gzip"))
    if sniffed in _EXECUTABLES:
        return declared in _EXECUTABLES
    if _is_media(sniffed):  # the same containers hold sound and pictures
        return _is_media(declared)
    return sniffed == "image/tiff" and declared.startswith("image/x-")  # what cameras store unprocessed


def _has_signature(mime: str) -> bool:
    return (
        mime in _IMAGES
        or mime in _ARCHIVES
        or mime in _EXECUTABLES
        or mime in {PDF, ZIP, *_OLD_OFFICE}
        or mime.startswith(_OPEN_FORMATS)
        or (_is_media(mime) and mime not in _NAMED_LIKE_TEXT)
    )


def _is_zip(mime: str) -> bool:
    return (
        mime == ZIP
        or mime.startswith(("application/vnd.", *_OPEN_FORMATS))
        or mime.endswith("+zip")
        or mime in {"application/java-archive", "application/x-java-archive", "model/3mf"}
    )


def _is_media(mime: str) -> bool:
    return mime.startswith(("audio/", "video/")) or mime in {"application/ogg", "application/mp4"}


def is_safe_inline(mime: str) -> bool:
    """Return whether browsers may show files of a type in place of offering them for a download.

    Only what never runs a script with the rights of the page's address: raster images, and PDFs, whose viewers are apart. No
    text, because of what browsers may find in one. The response must also say `X-Content-Type-Options: nosniff`.

    Args:
        mime: what `sniff` found, never what a client says.
    """
    return mime in _SAFE_INLINE


def category(mime: str) -> Literal["image", "pdf", "text", "other"]:
    """Return how a model can be given a file: as an image, as a PDF or its text, as text, or not at all.

    Args:
        mime: its type, with or without parameters. SVG and HTML are text.
    """
    bare = _canonical(mime)
    if bare in _READ_BY_MODELS:
        return "image"
    if bare == PDF:
        return "pdf"
    return "text" if _TEXTS.fullmatch(bare) else "other"
