"""docs/architecture.md names files and functions that exist."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "src" / "chatrack"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

FUNCTIONS = sorted(set(re.findall(r"`([a-z_/]+\.py):([A-Za-z_.]+)`", TEXT)))
PATHS = sorted(set(re.findall(r"`([a-z_/]+(?:\.py|/))`", TEXT)))


def test_the_map_follows_a_message_through_the_code():
    assert len(FUNCTIONS) > 30
    assert len(PATHS) > 20


@pytest.mark.parametrize(("file", "name"), FUNCTIONS)
def test_a_function_on_the_map_exists(file, name):
    found = importlib.import_module(f"chatrack.{file.removesuffix('.py').replace('/', '.')}")
    for part in name.split("."):
        assert hasattr(found, part), f"{file} has no {name}"
        found = getattr(found, part)
    if inspect.isclass(found) or inspect.isfunction(found):
        home = inspect.getsourcefile(inspect.unwrap(found))
        assert home is not None
        assert Path(home) == CORE / file, f"{name} is in {home}"


@pytest.mark.parametrize("path", PATHS)
def test_a_file_or_folder_on_the_map_exists(path):
    assert (CORE / path).exists(), path


def test_every_room_is_on_the_map():
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in CORE.iterdir()
        if path.name not in {"__init__.py", "__main__.py", "__pycache__", "py.typed"}
        and not path.name.endswith(".pyi")
    }
    assert not {room for room in rooms if f"`{room}`" not in TEXT}
