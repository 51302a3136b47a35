"""What every file of the repository keeps to: names, lengths, and sentences that a reader can follow."""

import ast
import importlib
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, SOURCES, python_files, relative, tree_of

LONG: dict[str, str] = {
    # A file of more than `LONGEST` lines: why it is one noun all the same.
    "core/src/chatrack/interfaces/store.py": "one interface, whose docstrings are its contract",
}
LONGEST = 350

CODE = [ROOT / folder for folder in ("core", "plugins", "bench", "tests")]


# Put together, so that this file does not hold what it forbids.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
    )
]
NUMBERED = re.compile(r"\bT" + r"[0-9]{1,2}\b|test_t" + r"[0-9]+_")
"""Numbers of a list that is not in the repository."""


def tracked_files() -> list[Path]:
    """Return the files that git tracks, or would once they are added."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [name for name in done.stdout.decode().split("\0") if name]
    return [path for name in names if (path := ROOT / name).is_file()]


@cache
def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # not text


def statements_in(block: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a block, and those of the blocks in it."""
    for statement in block:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            yield from statements_in(getattr(statement, name, ()))
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from statements_in(part.body)


@cache
def docstrings_of(path: Path) -> list[tuple[int, str]]:
    """Return the docstrings of a file, those of attributes too, with their lines."""
    return [
        (node.lineno, node.value.value)
        for node in statements_in(tree_of(path).body)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def comments_of(path: Path) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def test_no_file_is_called_utils():
    files = python_files(*SOURCES, ROOT / "bench", ROOT / "tests")
    assert not [
        relative(path) for path in files if "utils" in {path.stem, *path.relative_to(ROOT).parts[:-1]}
    ]


def test_no_source_file_is_too_long():
    lengths = {
        relative(path): len(text_of(path).splitlines()) for path in python_files(*SOURCES, ROOT / "bench")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST and name not in LONG}
    assert all(lengths[name] > LONGEST for name in LONG), "a file that has become shorter is still listed"


def test_no_tracked_file_names_a_package_registry():
    found = []
    for path in tracked_files():
        text = text_of(path).lower()
        found += [f"{relative(path)}: {host}" for host in REGISTRIES if host in text]
        if path != Path(__file__) and re.search(
            r"--(extra-)?index-url|^\s*\[\[tool\.uv\.index\]\]", text, re.MULTILINE
        ):
            found.append(f"{relative(path)}: an index of its own")
    assert not found


def test_no_tracked_file_refers_to_a_numbered_list_that_is_not_there():
    assert not [
        f"{relative(path)}:{number}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if NUMBERED.search(line)
    ]


def test_docstrings_say_what_is_returned_and_not_what_is_given():
    wrong = [
        f"{relative(path)}:{line}"
        for path in python_files(*CODE)
        for line, docstring in docstrings_of(path)
        if re.match(r"Gives?\b", docstring.strip())
    ]
    assert not wrong


ENTRY_POINT_GROUPS = {"chatrack.sql_backends"}


def test_dotted_names_in_prose_can_be_imported():
    prose = [
        (path, number, line)
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/*.md")]
        for number, line in enumerate(text_of(path).splitlines(), 1)
    ]
    for path in python_files(*CODE):
        prose += [(path, line, text) for line, text in (*docstrings_of(path), *comments_of(path))]
    assert not [
        f"{relative(path)}:{line}: {name}"
        for path, line, text in prose
        for name in re.findall(r"`@?(chatrack(?:_\w+)?(?:\.\w+)+)", text)
        if name not in ENTRY_POINT_GROUPS and not is_importable(name)
    ]
    assert is_importable("chatrack.sql.Database.read")
    assert not is_importable("chatrack.sql.Databases")


@cache
def is_importable(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return bool(module) and is_importable(module) and hasattr(resolved(module), attribute)
    return True


def resolved(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(resolved(module), attribute)
