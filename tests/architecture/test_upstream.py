"""`docs/upstream.md` names modules and tests that exist, and code cites entries that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "upstream.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
SOURCES = [ROOT / "core" / "src", *sorted((ROOT / "plugins").glob("*/src")), ROOT]
CITING = ("core", "plugins", "tests", "bench")


def find(path: str) -> Path | None:
    return next((file for folder in SOURCES if (file := folder / path).is_file()), None)


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def test_there_are_entries():
    assert len(ENTRIES) > 20
    assert len(ENTRIES) == len(re.findall("^### ", PAGE, re.MULTILINE)), "two entries have one name"


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_a_name_the_versions_the_defect_the_workaround_and_a_test(name):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    versions, defect, workaround, guard = re.split(r"^- ", ENTRIES[name].strip(), flags=re.MULTILINE)
    assert re.search(r"\d+\.\d+", versions)
    assert defect.startswith("**Defect:** ")
    assert workaround.startswith("**Chatrack:** ")
    assert "`" in workaround.rpartition("In ")[2]
    assert guard.startswith(("**Test:** `", "**Tests:** `"))


@pytest.mark.parametrize("name", ENTRIES)
def test_modules_and_tests_of_an_entry_exist(name):
    cited = re.findall(r"`([\w./-]+\.(?:py|toml))(?:::(\w+))?`", ENTRIES[name])
    assert any(test for _, test in cited)
    for path, test in cited:
        file = find(path)
        assert file is not None, path
        assert not test or test in functions_of(file), f"{path}::{test}"


def test_citations_in_the_code_lead_to_an_entry():
    wrong = []
    for folder in CITING:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                cited = re.search(r"# docs/upstream\.md: (.*)", line)
                # The names alone, so that they can be searched for; a reason goes into a comment of its own.
                if cited and path != Path(__file__):
                    wrong += [
                        f"{path.relative_to(ROOT)}:{number}: {name}"
                        for name in cited[1].split(", ")
                        if name not in ENTRIES
                    ]
    assert not wrong
