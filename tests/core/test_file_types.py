"""The types of files: from their bytes, and against what clients say."""

import codecs
import io
import zipfile

import pytest

from chatrack.files.sniffing import HEAD, sniff
from chatrack.files.types import agrees, category, is_safe_inline

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"
EXE = "application/vnd.microsoft.portable-executable"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def zipped(*names: str, first: bytes = b"<x/>", stored: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(names):
            archive.writestr(name, b"" if number else first)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01\x00\x01\x00", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36", "image/bmp"),
        (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
        (b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic", "image/heic"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1heic", "image/heic"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1", "image/avif"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif", "image/avif"),
        (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
        (b"PK\x05\x06" + bytes(18), "application/zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
        (b"\x1f\x8b\x08\x00", "application/gzip"),
        (b"BZh91AY&SY", "application/x-bzip2"),
        (b"\xfd7zXZ\x00", "application/x-xz"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
        (b"Rar!\x1a\x07\x01\x00", "application/vnd.rar"),
        (b"a.txt".ljust(257, b"\x00") + b"ustar\x0000", "application/x-tar"),
        (b"MZ\x90\x00\x03", EXE),
        (b"\x7fELF\x02\x01", "application/x-elf"),
        (b"\xcf\xfa\xed\xfe\x07", "application/x-mach-binary"),
        (b"\xca\xfe\xba\xbe\x00", "application/x-mach-binary"),
        (b"\x00asm\x01", "application/wasm"),
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x44", "audio/mpeg"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"OggS\x00\x02", "audio/ogg"),
        (b"fLaC\x00\x00", "audio/flac"),
        (b"\x00\x00\x00\x20ftypM4A \x00", "audio/mp4"),
        (b"\x00\x00\x00\x20ftypisom\x00", "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  \x00", "video/quicktime"),
        (b"\x00\x00\x00\x08wide\x00", "video/quicktime"),
        (b"RIFF\x24\x00\x00\x00AVI LIST", "video/x-msvideo"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska", "video/x-matroska"),
        (b"#!/bin/sh\nrm -rf /\n", "text/x-script"),
        (b"", "text/plain"),
        (b"Hello, world.\n", "text/plain"),
        ("Größe — 大きさ".encode(), "text/plain"),
        ("x".encode("utf-8-sig"), "text/plain"),
        ("Größe".encode("utf-16"), "text/plain"),
        (codecs.BOM_UTF16_BE + "Größe".encode("utf-16-be"), "text/plain"),
        ("Größe".encode("latin-1"), "application/octet-stream"),
        (b"text\x00text", "application/octet-stream"),
        (codecs.BOM_UTF16_LE + b"a\x00\x00\x00", "application/octet-stream"),
        (b"\x01\x02\x03\xfe", "application/octet-stream"),
    ],
)
def test_the_first_bytes_tell_the_type(head, mime):
    assert sniff(head) == mime


def test_a_character_that_is_cut_at_the_end_of_the_head_is_no_reason_against_text():
    text = ("x" + "ß" * HEAD).encode()
    assert sniff(text[:HEAD]) == "text/plain"
    assert sniff("x".encode("utf-16") + b"a") == "text/plain"


@pytest.mark.parametrize(
    "words",
    [
        "the wide road",
        "BMW drives",
        "MZ is what it begins with",
        "ID3 tags",
        "BZh",
        "RIFF and WAVE",
        "OggS, fLaC",
    ],
)
def test_words_that_look_like_a_signature_are_text(words):
    assert sniff(words.encode()) == "text/plain"


@pytest.mark.parametrize(
    ("names", "mime"),
    [
        (("[Content_Types].xml", "_rels/.rels", "word/document.xml"), DOCX),
        (("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), XLSX),
        (("_rels/.rels", "ppt/presentation.xml", "[Content_Types].xml"), PPTX),
        (("word/list.txt",), "application/zip"),
        (("a.txt",), "application/zip"),
    ],
)
def test_office_files_are_told_from_other_zips(names, mime):
    data = zipped(*names)
    assert sniff(data) == mime


def test_office_files_are_told_from_other_zips_by_the_list_at_their_end():
    large = bytes(range(256)) * 64
    data = zipped("[Content_Types].xml", "word/document.xml", first=large, stored=True)
    assert sniff(data[:HEAD]) == "application/zip"
    assert sniff(data[:HEAD], data[-HEAD:]) == DOCX


def test_open_documents_say_what_they_are():
    assert sniff(zipped("mimetype", "content.xml", first=ODT.encode(), stored=True)) == ODT
    epub = b"application/epub+zip"
    assert sniff(zipped("mimetype", first=epub, stored=True)) == epub.decode()
    assert sniff(zipped("mimetype", first=b"text/html", stored=True)) == "application/zip"


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE html><p>",
        b"<!doctype HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>",
        b"<html>",
        b"<HTML lang=en>",
        b"\n\t\r\f  <html>",
        b"\xef\xbb\xbf<html>",
        b"\xef\xbb\xbf \n<!-- a --> <!-- b -->\n<html>",
        b"<!--><script>alert(1)</script>",
        b"<!-- never ends <html>",
        b"<!-- <svg> --><script src=//evil></script>",
        b"<script>alert(1)</script>",
        b"<body onload=alert(1)>",
        b"<iframe/src=x>",
        b"<title",
        b"<?xml version='1.0'?><!DOCTYPE html><html xmlns='http://www.w3.org/1999/xhtml'>",
        b"<?xml version='1.0'?><h:html xmlns:h='http://www.w3.org/1999/xhtml'>",
        "<html>".encode("utf-16"),
    ],
)
def test_what_browsers_take_for_a_page_is_html(head):
    assert sniff(head) == "text/html"


@pytest.mark.parametrize(
    "head",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"<?xml version='1.0'?>\n<svg>",
        b"\xef\xbb\xbf<?xml version='1.0'?><!-- by hand --><svg>",
        b"<!-- by hand -->\n<svg onload='alert(1)'>",
        b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x' [<!ENTITY a 'b'>]><svg>",
        b"<SVG/onload=alert(1)>",
        b"<s:svg xmlns:s='http://www.w3.org/2000/svg'>",
        "<svg>".encode("utf-16"),
    ],
)
def test_drawings_are_svg(head):
    assert sniff(head) == "image/svg+xml"


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"<?xml version='1.0'?><feed>", "text/xml"),
        (b"<?xml version='1.0'?><!-- never ends", "text/xml"),
        (b"<!DOCTYPE note SYSTEM 'x'><note>", "text/xml"),
        (b'<div align="center"><h1>Readme</h1></div>', "text/plain"),
        (b"<!-- badges -->\n# Readme", "text/plain"),
        (b"<?php echo 1;", "text/plain"),
        (b"a < b, <html> later", "text/plain"),
        (b"<headline>", "text/plain"),
    ],
)
def test_other_text_with_tags_is_text(head, mime):
    assert sniff(head) == mime


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"GIF89a/*<script>alert(1)</script>*/", "image/gif"),
        (PNG + b"<html><script>alert(1)</script>", "image/png"),
        (b"%PDF-1.4\n<html><script>", "application/pdf"),
        (b"\xef\xbb\xbf%PDF-1.4\n", "application/pdf"),
        (b"\r\n \n%PDF-1.4\r\n", "application/pdf"),
        (b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4\r\n", "application/pdf"),
        (b"\x00\xff" * 400 + b"%PDF-1.4\n", "application/pdf"),
        (b"\x00\xff" * 600 + b"%PDF-1.4\n", "application/octet-stream"),
        (b"The header of a file is %PDF-1.4, says the standard.", "text/plain"),
        (b"<html>\n%PDF-1.4\n", "text/html"),
        (b"MZ\x90\x00<html>PK\x03\x04", EXE),
        (b"\xff\xd8\xff\xe0<svg onload=alert(1)>", "image/jpeg"),
    ],
)
def test_a_file_of_two_kinds_is_the_one_that_its_readers_see_first(head, mime):
    assert sniff(head) == mime


@pytest.mark.parametrize(
    "repeated", [b"<!--", b"<!-- -->", b"<?xml ?>", b" ", b"PK\x03\x04", b"PK\x01\x02", b"<", b"\n%PDF-"]
)
def test_no_repetition_keeps_the_search_busy(repeated):
    head = (repeated * HEAD)[:HEAD]
    assert sniff(head, head)


TEXTS = [
    "text/plain",
    "text/plain; charset=utf-8",
    "text/markdown",
    "text/csv",
    "text/x-python",
    "text/javascript",
    "application/json",
    "application/x-yaml",
    "application/javascript",
    "application/x-sh",
    "application/vnd.ms-excel",  # of a CSV
    "video/mp2t",  # of TypeScript
]


@pytest.mark.parametrize("declared", TEXTS)
@pytest.mark.parametrize("sniffed", ["text/plain", "text/x-script", "text/xml"])
def test_text_has_many_names(declared, sniffed):
    assert agrees(declared, sniffed)


@pytest.mark.parametrize(
    "declared", ["", "application/octet-stream", " Application/Octet-Stream ; x=y", "binary/octet-stream"]
)
@pytest.mark.parametrize("sniffed", ["image/png", "text/html", EXE, "text/plain", "application/octet-stream"])
def test_who_says_nothing_does_not_lie(declared, sniffed):
    assert agrees(declared, sniffed)


@pytest.mark.parametrize(
    ("declared", "sniffed"),
    [
        ("image/jpg", "image/jpeg"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/heif", "image/heic"),
        ("image/x-canon-cr2", "image/tiff"),
        ("application/x-zip-compressed", "application/zip"),
        (DOCX, "application/zip"),
        (XLSX, "application/zip"),
        (ODT, "application/zip"),
        ("application/vnd.ms-excel.sheet.macroEnabled.12", XLSX),
        ("application/zip", DOCX),
        (DOCX, DOCX),
        ("application/msword", "application/x-ole-storage"),
        (DOCX, "application/x-ole-storage"),
        ("application/x-gzip", "application/gzip"),
        ("application/x-tgz", "application/gzip"),
        ("application/x-msdownload", EXE),
        ("audio/x-m4a", "video/mp4"),
        ("audio/webm", "video/webm"),
        ("application/xhtml+xml", "text/html"),
        ("application/xml", "image/svg+xml"),
        ("image/svg+xml", "text/xml"),
        ("text/csv", "application/octet-stream"),  # in an old encoding
        ("application/x-parquet", "application/octet-stream"),
    ],
)
def test_other_names_of_a_type_are_no_lies(declared, sniffed):
    assert agrees(declared, sniffed)


@pytest.mark.parametrize(
    ("declared", "sniffed"),
    [
        *(("text/plain", sniffed) for sniffed in (
            "image/png", "image/svg+xml", "text/html", "application/pdf", "application/zip", DOCX, EXE,
            "application/x-elf", "application/gzip", "audio/mpeg", "application/x-ole-storage",
        )),
        *(("image/png", sniffed) for sniffed in (
            "image/jpeg", "image/svg+xml", "text/html", "text/plain", "text/x-script", "application/pdf", EXE,
            "application/zip", "application/octet-stream",
        )),
        ("application/pdf", "text/plain"),
        ("application/pdf", "text/html"),
        ("application/pdf", "application/octet-stream"),
        ("text/markdown", "text/html"),
        ("application/json", "text/html"),
        ("image/svg+xml", "image/png"),
        ("image/svg+xml", "text/plain"),
        (DOCX, "text/plain"),
        (DOCX, "application/pdf"),
        (DOCX, EXE),
        ("application/zip", EXE),
        ("application/x-anything", EXE),
        ("video/mp4", "image/gif"),
        ("audio/mpeg", "text/plain"),
        ("text/html", "image/svg+xml"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_a_lie(declared, sniffed):
    assert not agrees(declared, sniffed)


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"])
def test_images_and_pdfs_may_be_shown(mime):
    assert is_safe_inline(mime)


@pytest.mark.parametrize(
    "mime",
    [
        "text/html",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "application/xhtml+xml",
        "text/plain",
        "text/x-script",
        "text/css",
        "application/octet-stream",
        "application/zip",
        EXE,
        "image/anything",
        "image/png; charset=x",
        "",
    ],
)
def test_nothing_else_may_be_shown(mime):
    assert not is_safe_inline(mime)


@pytest.mark.parametrize(
    ("mime", "expected"),
    [
        ("image/png", "image"),
        ("image/jpg", "image"),
        ("image/gif", "image"),
        ("image/webp", "image"),
        ("application/pdf", "pdf"),
        ("text/plain", "text"),
        ("text/markdown; charset=utf-8", "text"),
        ("text/html", "text"),
        ("image/svg+xml", "text"),
        ("application/json", "text"),
        ("application/ld+json", "text"),
        ("application/xml", "text"),
        ("application/x-yaml", "text"),
        ("image/heic", "other"),
        ("image/tiff", "other"),
        (DOCX, "other"),
        ("application/zip", "other"),
        ("audio/mpeg", "other"),
        ("video/mp4", "other"),
        ("application/octet-stream", "other"),
        ("", "other"),
    ],
)
def test_a_model_is_given_images_pdfs_and_text(mime, expected):
    assert category(mime) == expected
