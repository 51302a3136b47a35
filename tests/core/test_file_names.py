"""Names of files: safe to show, to store, and to put into a header."""

import unicodedata
from urllib.parse import unquote

import pytest

from chatrack.files.names import MAX_NAME, clean_name, content_disposition

HOSTILE = [
    "",
    " ",
    "..",
    "../../etc/passwd",
    "C:\\Windows\\system32\\evil.exe",
    "a\x00b.txt",
    "a\r\nSet-Cookie: x=1\r\n\r\nb.txt",
    'a"; filename="evil.exe',
    '\\" ; filename=x',
    "<script>alert(1)</script>.html",
    "\u202egpj.exe",
    "a\u200b\u2066b\ufeff.txt",
    "a\ud800.txt",
    "\U000e0041\U000e0042\U000e007f",
    "x" * 10_000,
    "\u0301" * 10_000 + ".txt",
    "a." + "b" * 10_000,
    "%0d%0aX: y",
    "報告 書.pdf",
    "\x85\u2028\u2029",
]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\Users\\ann\\Photos/me.jpg", "me.jpg"),
        ("photos/", "photos"),
        ("a\x00b.txt", "ab.txt"),
        ("a\x1b[31mb\x7f\x9c.txt", "a[31mb.txt"),
        ("two\r\nlines.txt", "two lines.txt"),
        ("  many \t  spaces\u00a0here .txt ", "many spaces here .txt"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        (".bashrc", "bashrc"),
        (". ..hidden", "hidden"),
        ("evil.exe. .", "evil.exe"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u2066a\u2069\u200fb\u061cc", "abc"),
        ("zero\u200b\u200c\u200d\u2060\ufeffwidth", "zerowidth"),
        ("soft\u00adhyphen", "softhyphen"),
        ("tag\U000e0069\U000e0067\U000e007fs", "tags"),
        ("hidden\U000e0100\U000e01ef", "hidden"),
        ("half\ud800\udfff", "half"),
        ("\u3164\u2800.\u115f", "file"),
        ("none\uffff\ufffe", "none"),
        ("報告書.pdf", "報告書.pdf"),
        ("naïve ☕️.txt", "naïve ☕️.txt"),
        ("😀.png", "😀.png"),
        ("", "file"),
        ("...", "file"),
        ("///", "file"),
        ("\x00\u202e", "file"),
        (" \u200b ", "file"),
    ],
)
def test_a_name_is_what_can_be_seen_of_the_last_part_of_a_path(name, cleaned):
    assert clean_name(name) == cleaned


def test_markup_in_a_name_stays_text():
    assert clean_name("<b>&amp;'\"</b>".replace("/", "")) == "<b>&amp;'\"<b>"


def test_a_slash_in_markup_is_a_slash():
    assert clean_name("<script>alert(1)</script>") == "script>"


@pytest.mark.parametrize(
    ("name", "ending"),
    [("x" * 10_000 + ".tar.gz", ".gz"), ("x" * 299 + ".jpeg", "x.jpeg"), ("é " * 5_000 + ".pdf", "é.pdf")],
)
def test_a_long_name_keeps_its_extension(name, ending):
    cleaned = clean_name(name)
    assert cleaned.endswith(ending)
    assert len(cleaned) <= MAX_NAME


@pytest.mark.parametrize("name", ["x" * 10_000, "a." + "b" * 10_000, "." * 10_000 + "a" * 400])
def test_a_long_name_without_an_extension_is_cut(name):
    assert len(clean_name(name)) == MAX_NAME


@pytest.mark.parametrize("name", HOSTILE)
def test_a_cleaned_name_is_never_empty_or_long_and_cleaning_it_again_changes_nothing(name):
    cleaned = clean_name(name)
    assert 1 <= len(cleaned) <= MAX_NAME
    assert not {"/", "\\"} & set(cleaned)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in cleaned)
    assert clean_name(cleaned) == cleaned


def test_every_control_and_format_character_is_removed():
    unseen = [char for char in map(chr, range(0x110000)) if unicodedata.category(char) in {"Cc", "Cf", "Cs"}]
    assert not [char for char in unseen if clean_name(f"a{char}b") not in {"ab", "a b"}]


@pytest.mark.parametrize(
    ("name", "inline", "value"),
    [
        ("report.pdf", False, 'attachment; filename="report.pdf"'),
        ("my photo.png", True, 'inline; filename="my photo.png"'),
        (
            "報告 1.pdf",
            False,
            "attachment; filename=\"__ 1.pdf\"; filename*=UTF-8''%E5%A0%B1%E5%91%8A%201.pdf",
        ),
        ('a"b.txt', False, "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("50%.txt", False, "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("it's (1);x=*.txt", False, 'attachment; filename="it\'s (1);x=*.txt"'),
    ],
)
def test_the_header_names_the_file(name, inline, value):
    assert content_disposition(name, inline=inline) == value


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("inline", [True, False])
def test_no_name_breaks_out_of_the_header(name, inline):
    value = content_disposition(name, inline=inline)
    assert all(" " <= char <= "~" for char in value)
    disposition, filename, *extended = value.split('"')
    assert disposition == ("inline; filename=" if inline else "attachment; filename=")
    assert not {"\\", "%"} & set(filename)
    [rest] = extended
    if rest:
        assert rest.startswith("; filename*=UTF-8''")
        assert not set(rest[len("; filename*=UTF-8''") :]) & set(" \"';,*()")
        assert unquote(rest.removeprefix("; filename*=UTF-8''")) == clean_name(name)
    else:
        assert filename == clean_name(name)
