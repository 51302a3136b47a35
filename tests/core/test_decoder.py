"""Images and PDFs are decoded in processes of their own, whatever is in them."""

import asyncio
import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pypdf
import pytest
import uvloop
from PIL import Image as Pillow

from chatrack.files import decoder as decoder_module
from chatrack.files import decoder_process
from chatrack.files.decoder import Decoder, Undecodable
from tests.support.waiting import PROCESS_LIMIT, until

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux: /proc and bounded address spaces"
)

MIB = 1024 * 1024
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def decoder():
    return Decoder(timeout=PROCESS_LIMIT)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def decoded(image):
    return Pillow.open(io.BytesIO(image.data))


def two_halves(mode="RGB", size=(40, 20)):
    """An image whose left half is red and whose right half is blue."""
    image = Pillow.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image.convert(mode)


def is_close(found, expected):
    return all(abs(one - other) < 40 for one, other in zip(found, expected, strict=True))


def inflating_to(mebibytes):
    """A small zlib stream of that many zeros: one block again and again, after each of which deflate starts anew."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", mebibytes * MIB % 65521, 1)
    return b"\x78\x9c" + block * mebibytes + b"\x03\x00" + checksum


def black_png(width, height, *, bits=8, color=0, mebibytes=None):
    """A PNG of zeros that takes little room, whatever its size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {0: 1, 2: 3, 6: 4}[color]
    size = height * (1 + (width * channels * bits + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([
        chunk(b"IHDR", header), chunk(b"IDAT", inflating_to(-(-size // MIB))), chunk(b"IEND", b"")
    ])  # fmt: skip


def pdf(*streams, options=b""):
    """A PDF with a page for each stream."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>"
        % (len(streams), b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(streams)))),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, stream in enumerate(streams):
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % (5 + 2 * number),
            b"<</Length %d%s>>stream\n%s\nendstream" % (len(stream), options, stream),
        ]
    written, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return written + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
        % (count, table, count, len(written))
    )


def showing(text):
    return b"BT /F1 12 Tf 50 700 Td (" + text.encode() + b") Tj ET"


def encrypted(password):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(showing("secret words"))))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run another program in place of the one that decodes."""

    def replace(source):
        path = tmp_path / "program.py"
        path.write_text(
            f"import json, os, sys, time\nfolder = {str(tmp_path)!r}\n{source}\n", encoding="utf-8"
        )
        monkeypatch.setattr(decoder_module, "_PROGRAM", path)
        return tmp_path

    return replace


HANGS = """
with open(f"{folder}/pid-{os.getpid()}", "x"):
    pass
time.sleep(10_000)
"""


async def pid_of_one(folder):
    def found():
        return next(iter(folder.glob("pid-*")), None)

    return int((await until(found, PROCESS_LIMIT)).name.removeprefix("pid-"))


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# Images


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP"])
async def test_an_image_of_each_format_becomes_a_jpeg(decoder, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = await decoder.shrink_image(encoded(two_halves(), kind, **options))
    assert (image.mime_type, image.width, image.height) == ("image/jpeg", 40, 20)
    result = decoded(image)
    assert (result.format, result.size) == ("JPEG", (40, 20))
    assert is_close(result.getpixel((5, 10)), RED)
    assert is_close(result.getpixel((35, 10)), BLUE)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA"])
async def test_an_image_of_each_mode_without_transparency_becomes_a_jpeg(decoder, mode):
    source = two_halves(mode)
    image = await decoder.shrink_image(encoded(source, "JPEG" if mode == "CMYK" else "PNG"))
    assert image.mime_type == "image/jpeg"
    expected = source.convert("RGB")
    for point in [(5, 10), (35, 10)]:
        assert is_close(decoded(image).convert("RGB").getpixel(point), expected.getpixel(point))


async def test_sixteen_bits_of_gray_become_eight(decoder):
    source = Pillow.new("I;16", (40, 20), 40_000)
    image = await decoder.shrink_image(encoded(source))
    assert abs(decoded(image).getpixel((5, 5)) - 40_000 // 256) < 5


async def test_a_transparent_image_becomes_a_png(decoder):
    source = two_halves("RGBA")
    source.putpixel((0, 0), (0, 0, 0, 0))
    image = await decoder.shrink_image(encoded(source))
    assert image.mime_type == "image/png"
    assert decoded(image).format == "PNG"
    assert decoded(image).getpixel((0, 0))[3] == 0
    assert decoded(image).getpixel((5, 5)) == (*RED, 255)


async def test_a_transparent_color_of_a_palette_stays_transparent(decoder):
    source = Pillow.new("P", (10, 10), 0)
    source.putpalette([0, 0, 0, 255, 0, 0])
    source.paste(1, (5, 0, 10, 10))
    image = await decoder.shrink_image(encoded(source, "GIF", transparency=0))
    assert image.mime_type == "image/png"
    assert decoded(image).getpixel((0, 0))[3] == 0
    assert decoded(image).getpixel((9, 0)) == (*RED, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
async def test_of_an_animation_the_first_picture_is_taken(decoder, kind):
    frames = [Pillow.new("RGB", (20, 20), color) for color in (RED, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert Pillow.open(io.BytesIO(data)).n_frames == 2
    image = await decoder.shrink_image(data)
    assert is_close(decoded(image).convert("RGB").getpixel((10, 10)), RED)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
async def test_a_large_image_is_scaled_down(decoder, kind):
    image = await decoder.shrink_image(encoded(two_halves(size=(3000, 1500)), kind), max_side=300)
    assert (image.width, image.height) == decoded(image).size == (300, 150)
    assert is_close(decoded(image).getpixel((20, 75)), RED)
    assert is_close(decoded(image).getpixel((280, 75)), BLUE)


async def test_a_photo_is_turned_upright_and_loses_where_it_was_taken(decoder):
    exif = Pillow.Exif()
    exif[0x0112] = 6  # orientation
    exif[0x010F] = "Maker of cameras"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)}  # GPS
    source = encoded(two_halves(), "JPEG", exif=exif, comment=b"a comment", icc_profile=b"a profile")
    assert b"Maker" in source
    image = await decoder.shrink_image(source)
    assert (image.width, image.height) == (20, 40)
    result = decoded(image)
    assert is_close(result.getpixel((10, 5)), RED)
    assert is_close(result.getpixel((10, 35)), BLUE)
    assert not result.getexif()
    assert not {"exif", "comment", "icc_profile"} & set(result.info)
    assert not any(word in image.data for word in (b"Exif", b"Maker", b"a comment", b"a profile"))


async def test_a_png_loses_its_texts(decoder):
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Author", "somebody")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>private</x:xmpmeta>")
    source = two_halves("RGBA")
    source.putalpha(100)
    image = await decoder.shrink_image(
        encoded(source, pnginfo=texts, icc_profile=b"a profile", dpi=(300, 300))
    )
    assert image.mime_type == "image/png"
    assert not decoded(image).info


async def test_an_image_with_broken_exif_is_still_an_image(decoder):
    image = await decoder.shrink_image(
        encoded(two_halves(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    )
    assert (image.width, image.height) == (40, 20)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_an_image_fits_into_the_bytes(decoder, mode):
    noise = Pillow.effect_noise((400, 400), 100).convert(mode)
    if mode == "RGBA":
        noise.putpixel((0, 0), (0, 0, 0, 0))
    image = await decoder.shrink_image(encoded(noise), max_bytes=20_000)
    assert len(image.data) <= 20_000
    assert decoded(image).size == (image.width, image.height)
    with pytest.raises(Undecodable, match="does not fit"):
        await decoder.shrink_image(encoded(noise), max_bytes=100)


async def test_what_follows_an_image_is_dropped(decoder):
    image = await decoder.shrink_image(encoded(two_halves()) + b"<script>alert(1)</script>")
    assert b"<script>" not in image.data


async def test_a_hundred_megapixels_are_refused(decoder):
    bomb = black_png(10_000, 10_000)
    assert len(bomb) < MIB
    with pytest.raises(Undecodable, match="too many pixels"):
        await decoder.shrink_image(bomb)


async def test_a_jpeg_of_many_megapixels_is_scaled_while_it_is_decoded(decoder):
    source = encoded(Pillow.new("L", (8_000, 8_000), 100), "JPEG")
    assert decoder_process.MAX_PIXELS < 8_000 * 8_000
    image = await decoder.shrink_image(source)
    assert (image.width, image.height) == (2048, 2048)


async def test_the_largest_image_with_transparency_fits_into_the_memory(decoder):
    image = await decoder.shrink_image(black_png(6_300, 6_300, color=6), max_side=512)
    assert (image.mime_type, image.width, image.height) == ("image/png", 512, 512)


@linux_only
async def test_an_image_that_takes_too_much_memory_is_refused():
    decoder = Decoder(timeout=PROCESS_LIMIT, max_memory=160 * MIB)
    with pytest.raises(Undecodable, match="memory"):
        await decoder.shrink_image(black_png(6_000, 6_000, color=6))
    assert (await decoder.shrink_image(encoded(two_halves()))).width == 40


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"GIF89a<script>alert(1)</script>",
        encoded(two_halves())[:-30],
        encoded(two_halves(size=(400, 400)), "JPEG")[:-1000],
        encoded(two_halves(), "WEBP")[:40],
        encoded(two_halves(), "GIF")[:60],
        encoded(two_halves(), "TIFF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        pdf(showing("x")),
    ],
    ids=[
        "empty",
        "text",
        "polyglot",
        "cut png",
        "cut jpeg",
        "cut webp",
        "cut gif",
        "tiff",
        "eps",
        "svg",
        "pdf",
    ],
)
async def test_what_is_no_image_is_refused(decoder, data):
    with pytest.raises(Undecodable) as caught:
        await decoder.shrink_image(data)
    assert caught.value.reason == str(caught.value)
    assert caught.value.reason


# PDFs


async def test_the_text_of_a_pdf_has_its_pages_in_order(decoder):
    text = await decoder.extract_text(pdf(showing("first page"), b"", showing("last page")), max_chars=1_000)
    assert text == "first page\n\nlast page"


async def test_a_pdf_without_text_has_none(decoder):
    assert await decoder.extract_text(pdf(b""), max_chars=1_000) == ""


async def test_the_text_of_a_pdf_is_cut(decoder):
    data = pdf(*[showing("words of a page")] * 50)
    for max_chars in (0, 1, 40):
        whole = "\n\n".join(["words of a page"] * 50)
        assert await decoder.extract_text(data, max_chars=max_chars) == whole[:max_chars]


async def test_a_pdf_with_leading_bytes_is_read(decoder):
    assert await decoder.extract_text(b"\r\n\r\n" + pdf(showing("words")), max_chars=100) == "words"


async def test_an_encrypted_pdf_is_read_if_it_needs_no_password(decoder):
    assert await decoder.extract_text(encrypted(""), max_chars=1_000) == "secret words"
    with pytest.raises(Undecodable, match="password"):
        await decoder.extract_text(encrypted("sesame"), max_chars=1_000)


async def test_a_pdf_that_inflates_to_a_gigabyte_is_refused(decoder):
    bomb = pdf(inflating_to(1024), options=b"/Filter/FlateDecode")
    assert len(bomb) < 2 * MIB
    with pytest.raises(Undecodable):
        await decoder.extract_text(bomb, max_chars=1_000)


async def test_a_pdf_that_inflates_twice_is_refused(decoder):
    bomb = pdf(zlib.compress(inflating_to(1024)), options=b"/Filter[/FlateDecode/FlateDecode]")
    with pytest.raises(Undecodable):
        await decoder.extract_text(bomb, max_chars=1_000)


async def test_a_page_that_cannot_be_read_is_left_out(decoder):
    streams = [inflating_to(1024), zlib.compress(showing("the other page"))]
    data = pdf(*streams, options=b"/Filter/FlateDecode")
    assert await decoder.extract_text(data, max_chars=1_000) == "the other page"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no PDF",
        pdf(showing("x"))[:100],
        encoded(two_halves()),
    ],
    ids=["empty", "text", "cut", "png"],
)
async def test_what_is_no_pdf_is_refused(decoder, data):
    with pytest.raises(Undecodable):
        await decoder.extract_text(data, max_chars=1_000)


@pytest.mark.parametrize(
    ("sound", "broken"), [(b"/Kids[4 0 R]", b"/Kids[2 0 R]"), (b"/Pages 2 0 R", b"/Pages 1 0 R")]
)
async def test_pages_that_contain_themselves_come_to_an_end(decoder, sound, broken):
    data = pdf(showing("x")).replace(sound, broken)
    with contextlib.suppress(Undecodable):
        assert await decoder.extract_text(data, max_chars=1_000) == ""


# Processes


async def test_a_process_that_hangs_is_killed_when_its_time_is_up(program):
    folder = program(HANGS)
    with pytest.raises(Undecodable, match="longer than"):
        await Decoder(timeout=2).extract_text(b"x" * MIB, max_chars=10)
    for path in folder.glob("pid-*"):  # unless it took that long to start
        assert not exists(int(path.name.removeprefix("pid-")))


async def test_cancelling_kills_the_process(program, decoder):
    folder = program(HANGS)
    task = asyncio.create_task(decoder.extract_text(b"x" * MIB, max_chars=10))
    pid = await pid_of_one(folder)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not exists(pid)


async def test_cancelling_before_there_is_a_process_leaves_none(program, decoder, monkeypatch):
    folder = program(HANGS)
    for pauses in range(4):
        task = asyncio.create_task(decoder.extract_text(b"x", max_chars=10))
        for _ in range(pauses):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not any(exists(int(path.name.removeprefix("pid-"))) for path in folder.glob("pid-*"))


async def test_cancelling_twice_still_waits_for_the_process(program, decoder):
    folder = program(HANGS)
    task = asyncio.create_task(decoder.extract_text(b"x", max_chars=10))
    pid = await pid_of_one(folder)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not exists(pid)


async def test_who_waits_for_a_process_can_be_cancelled(program):
    decoder = Decoder(timeout=PROCESS_LIMIT, processes=1)
    folder = program(HANGS)
    first = asyncio.create_task(decoder.extract_text(b"x", max_chars=10))
    await pid_of_one(folder)
    waiting = asyncio.create_task(decoder.extract_text(b"x", max_chars=10))
    await asyncio.sleep(0)
    for task in (waiting, first):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(list(folder.glob("pid-*"))) == 1
    program('print(json.dumps({"size": 2}), "ok", sep="\\n", end="")')
    assert await decoder.extract_text(b"x", max_chars=10) == "ok"


async def test_no_more_processes_than_allowed_run_at_the_same_time(program):
    folder = program("""
mine = f"{folder}/running-{os.getpid()}"
open(mine, "x").close()
count = sum(name.startswith("running-") for name in os.listdir(folder))
while not os.path.exists(f"{folder}/go"):
    time.sleep(0.01)
os.remove(mine)
print(json.dumps({"size": 1}), count, sep="\\n", end="")
""")
    decoder = Decoder(timeout=PROCESS_LIMIT, processes=2)
    tasks = [asyncio.create_task(decoder.extract_text(b"x", max_chars=1)) for _ in range(6)]
    await until(lambda: len(list(folder.glob("running-*"))) == 2, PROCESS_LIMIT)
    (folder / "go").touch()
    counts = [int(count) for count in await asyncio.gather(*tasks)]
    assert len(counts) == 6
    assert max(counts) == 2


async def test_several_files_are_decoded_at_the_same_time(decoder):
    images, texts = [encoded(two_halves(size=(10 * side, 10))) for side in range(2, 6)], ["a", "b", "c", "d"]
    found = await asyncio.gather(
        *(decoder.shrink_image(image) for image in images),
        *(decoder.extract_text(pdf(showing(text)), max_chars=10) for text in texts),
    )
    assert [image.width for image in found[:4]] == [20, 30, 40, 50]
    assert found[4:] == texts


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("os.kill(os.getpid(), 11)", "signal 11"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("sys.exit(3)", "exit code 3 and no answer"),
        ("raise MemoryError", "exit code 1 and no answer"),
        ("print('hello')", "no answer"),
        ("os.write(1, b'\\xff\\xfe\\n')", "no answer"),
        ("print('[]')", "no answer"),
        ("""print('{"size": 5}\\nhalf', end='')""", "half an answer"),
        ("""print('{"size": 4}\\nwhole', end='')""", "half an answer"),
        ("""print('{"size": 4}\\nfull', end='', flush=True); sys.exit(1)""", "half an answer"),
        ("""print('{"size": 1000}\\n' + 1000 * 'x', end='')""", "half an answer"),
        ("sys.stdin.buffer.read()\nwhile True: os.write(1, bytes(65536))", "signal"),
        ("""os.write(1, b'{"size": 2}\\n\\xff\\xff')""", "not UTF-8"),
        ("""print(json.dumps({"reason": "a\\nb\\u202e" + 1000 * "x"}))""", r"^a\?b\?x{196}$"),
    ],
)
async def test_no_answer_of_a_process_is_believed(program, decoder, source, reason):
    program(source)
    with pytest.raises(Undecodable, match=reason):
        await decoder.extract_text(b"x" * MIB, max_chars=10)


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"mime_type": "image/svg+xml", "width": 1, "height": 1}, "<svg/>"),
        ({"mime_type": "image/png", "width": 1, "height": 1}, "<html>"),
        ({"mime_type": "text/html", "width": 1, "height": 1}, "<html>"),
    ],
)
async def test_no_image_of_a_process_is_believed(program, decoder, header, payload):
    program(f"print({str(header).replace(chr(39), chr(34))!r}[:-1] + ', \"size\": {len(payload)}}}')\n"
            f"print({payload!r}, end='')")  # fmt: skip
    with pytest.raises(Undecodable, match="no such image"):
        await decoder.shrink_image(b"x")


async def test_a_process_that_reads_nothing_may_still_answer(program, decoder):
    program('os.close(0)\nprint(json.dumps({"size": 2}), "ok", sep="\\n", end="")')
    assert await decoder.extract_text(b"x" * MIB, max_chars=10) == "ok"


async def test_a_process_that_cannot_be_started_is_no_crash(decoder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(Undecodable, match="cannot be started"):
        await decoder.extract_text(b"x", max_chars=10)


async def test_a_process_sees_no_secrets_and_no_modules_of_this_folder(
    program, decoder, monkeypatch, tmp_path
):
    monkeypatch.setenv("CHATRACK_SECRET_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    program('print(json.dumps({"reason": " ".join([*os.environ, "path", *sys.path])[:200]}))')
    with pytest.raises(Undecodable) as caught:
        await decoder.extract_text(b"x", max_chars=10)
    assert "SECRET" not in caught.value.reason
    assert str(tmp_path) not in caught.value.reason


@linux_only
async def test_nothing_stays_open(program, decoder):
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    await decoder.extract_text(pdf(showing("x")), max_chars=10)
    before = open_files()
    await decoder.extract_text(pdf(showing("x")), max_chars=10)
    for source in (
        "os.close(0)",
        "os.kill(os.getpid(), 9)",
        "sys.stdin.buffer.read()\nwhile True: os.write(1, bytes(65536))",
    ):
        program(source)
        with pytest.raises(Undecodable):
            await decoder.extract_text(b"x" * MIB, max_chars=10)
    folder = program(HANGS)
    task = asyncio.create_task(decoder.extract_text(b"x" * MIB, max_chars=10))
    await pid_of_one(folder)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files() == before


def test_files_are_decoded_in_any_event_loop():
    decoder = Decoder(timeout=PROCESS_LIMIT)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(decoder.extract_text(pdf(showing("x")), max_chars=10)) == "x"


def test_without_limits_of_the_platform_there_are_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    decoder_process.limit_resources(max_memory=1, max_cpu=1)
    assert decoder_process.answer_to({"operation": "extract_text", "max_chars": 10}, pdf(showing("x"))) == (
        {"size": 1},
        b"x",
    )


def test_the_server_imports_no_decoder():
    code = "import sys, chatrack.files.decoder; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"PIL", "pypdf"} & {name.partition(".")[0] for name in done.stdout.split()}


def test_the_program_imports_nothing_of_this_package():
    path = Path(decoder_process.__file__)
    code = f"""
import runpy, sys
runpy.run_path({str(path)!r})
for name in ("PIL", "pypdf", "chatrack", "asyncio"):
    assert name not in sys.modules, name
"""
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
