"""The program that decodes one image or PDF: bytes on its standard input, an answer on its standard output.

It is run as a file, by a Python of its own, and imports nothing of this package: every import takes time from a request. Its one
argument is a JSON object with `operation`, `max_memory` (bytes), `max_cpu` (seconds), and the arguments of the operation. The
answer is one line, a JSON object, and the bytes that follow it: `size` says how many; or the line has the `reason` why there are
none.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from PIL import Image

Answer: TypeAlias = tuple[dict[str, Any], bytes]

MAX_PIXELS = 40_000_000
"""The largest image that is decoded. With its transparency, it takes 160 MB, and as much again while it is scaled."""

MAX_PAGES = 2_000

_MIN_SIDE = 32
"""An image that does not fit into the bytes at this size is given up."""

_JPEG_QUALITIES = (88, 75, 60)

_FORMATS = ("Avif", "Bmp", "Gif", "Jpeg", "Png", "WebP")

_LIBRARIES = {
    "shrink_image": tuple(f"PIL.{name}ImagePlugin" for name in _FORMATS),
    "extract_text": ("pypdf",),
}
"""What an operation imports. Pillow would import all of its formats to find one."""


class Refused(Exception):
    """Something is not decoded. The message says why."""


def shrink_image(data: bytes, *, max_side: int, max_bytes: int) -> Answer:
    """Return an image of bounded size, without anything but its pixels.

    Args:
        data: the image.
        max_side: the longest side, in pixels.
        max_bytes: the most bytes.

    Raises:
        Refused: there are too many pixels, or too many bytes at any size.
    """
    image = _pixels(data, max_side)
    while True:
        for mime_type, encoded in _encodings(image):
            if len(encoded) <= max_bytes:
                return {"mime_type": mime_type, "width": image.width, "height": image.height}, encoded
        if max(image.size) <= _MIN_SIDE:
            raise Refused("it does not fit into the bytes at any size")
        side = max(_MIN_SIDE, max(image.size) * 3 // 4)
        image.thumbnail((side, side))


def _pixels(data: bytes, max_side: int) -> "Image.Image":
    """Return the first picture of an image, upright, scaled down, in gray or in RGB, with its transparency if it has any."""
    from PIL import AvifImagePlugin, Image

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each would reserve memory of its own
    Image.MAX_IMAGE_PIXELS = None  # ours is below, and knows how a JPEG is scaled
    image: Image.Image = Image.open(BytesIO(data), formats=_FORMATS)
    orientation = _orientation(image)
    image.draft(None, (max_side, max_side))  # a JPEG is scaled while it is decoded
    if image.width * image.height > MAX_PIXELS:
        raise Refused(f"{image.width} x {image.height} are too many pixels")
    image.load()
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in {"L", "RGB"}:
        image = image.convert("L" if image.mode == "1" else "RGB")
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    image.info = {}  # comments and profiles would be written again
    return image if orientation is None else image.transpose(orientation)


def _orientation(image: "Image.Image") -> "Image.Transpose | None":
    """Return what has to be done to an image so that it is upright."""
    from PIL import ExifTags, Image

    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  # the pixels may be sound although this is not
        return None
    turn = Image.Transpose
    return {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }.get(value or 1)


def _encodings(image: "Image.Image") -> Iterator[tuple[str, bytes]]:
    """Yield the encodings to choose from, the best first."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        yield "image/png", _saved(image, "PNG")
        return
    opaque = image.convert("RGB") if image.mode == "RGBA" else image
    for quality in _JPEG_QUALITIES:
        yield "image/jpeg", _saved(opaque, "JPEG", quality=quality)


def _saved(image: "Image.Image", kind: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def extract_text(data: bytes, *, max_chars: int) -> Answer:
    """Return the text of a PDF as UTF-8, its pages parted by an empty line.

    Pages that cannot be read are left out, unless none can.

    Args:
        data: the PDF.
        max_chars: where the text is cut.

    Raises:
        Refused: it needs a password.
    """
    import pypdf
    from pypdf import filters

    filters.JBIG2DEC_BINARY = None  # no further processes
    reader = pypdf.PdfReader(BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("it needs a password")
    pages: list[str] = []
    left, failure = max_chars, None
    for number in range(min(len(reader.pages), MAX_PAGES)):
        try:
            text = reader.pages[number].extract_text()
        except Exception as error:  # noqa: BLE001  # whatever one page has
            failure = error
            continue
        text = text.replace("\x00", "").strip()[:left]
        pages.append(text)
        left -= len(text) + len("\n\n")
        if left <= 0:
            break
    if failure is not None and not any(pages):
        raise failure
    whole = "\n\n".join(page for page in pages if page)[:max_chars]
    return {}, whole.encode("utf-8", "replace")


OPERATIONS: dict[str, Callable[..., Answer]] = {"shrink_image": shrink_image, "extract_text": extract_text}


def limit_resources(max_memory: int, max_cpu: int) -> None:
    """Bound what this process may use, where the platform can. The time is bounded for the case that nobody is left to kill it.

    Args:
        max_memory: bytes of address space.
        max_cpu: seconds of computing.
    """
    try:
        import resource
    except ImportError:
        return
    for kind, value in (
        (resource.RLIMIT_AS, max_memory),
        (resource.RLIMIT_CPU, max_cpu),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(OSError, ValueError):  # macOS has no bound of the address space
            resource.setrlimit(kind, (bounded, bounded))


def answer_to(arguments: dict[str, Any], data: bytes) -> Answer:
    """Return the answer to a request; one with a `reason`, whatever goes wrong."""
    operation = OPERATIONS[arguments.pop("operation")]
    try:
        header, payload = operation(data, **arguments)
    except Refused as refused:
        return {"reason": str(refused)}, b""
    except MemoryError:
        return {"reason": "it takes too much memory"}, b""
    except Exception as error:  # noqa: BLE001  # decoders raise anything at what they do not expect
        return {"reason": f"{type(error).__name__}: {error}"[:200]}, b""
    return {**header, "size": len(payload)}, payload


def main() -> None:
    """Read, decode, and answer."""
    output = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints may get into the answer
    arguments = json.loads(sys.argv[1])
    for library in _LIBRARIES[arguments["operation"]]:
        import_module(library)  # as long as Python may store what it has compiled
    limit_resources(arguments.pop("max_memory"), arguments.pop("max_cpu"))
    header, payload = answer_to(arguments, sys.stdin.buffer.read())
    with os.fdopen(output, "wb") as stream:
        stream.write(json.dumps(header).encode() + b"\n" + payload)
    os._exit(0)  # tearing down the libraries takes time and may crash


if __name__ == "__main__":
    main()
