"""What plugin authors import: every public name is there, documented, and loaded only when it is used."""

import ast
import importlib
import inspect
import json
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import chatkit.store
import pytest

import chatrack
from chatrack import errors

HEAVY = {"chatkit", "agents", "openai", "litestar"}
"""Libraries that take a second to load."""

LAZY = [chatrack, errors]
"""The modules whose names are loaded when they are first used."""


def loaded_by(code: str) -> set[str]:
    """Return which heavy libraries a fresh interpreter has loaded after running some code."""
    report = f"\nimport json, sys; print(json.dumps(sorted({HEAVY!r} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", LAZY)
def test_every_public_name_can_be_imported_and_is_listed_by_dir(module):
    assert dir(module) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("module", LAZY)
def test_help_describes_every_public_class_and_function(module):
    text = pydoc.render_doc(module, renderer=pydoc.plaintext)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            assert re.search(rf"^    class {value.__name__}\(", text, re.MULTILINE), name
        else:
            assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("module", LAZY)
def test_each_public_name_is_listed_once_in_the_source(module):
    folder = Path(module.__file__).parent
    tree = ast.parse((folder / "__init__.pyi").read_text())
    names = [alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(names) == sorted(set(names)) == sorted(module.__all__)
    source = re.sub(r'""".*?"""', "", (folder / "__init__.py").read_text(), flags=re.DOTALL)
    assert not [name for name in names if re.search(rf"\b{name}\b", source)]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Tol"):
        chatrack.Tol  # noqa: B018  (reading it is the test)


def test_every_error_of_the_package_is_one_of_the_errors_module():
    shared = [name for name in chatrack.__all__ if name in errors.__all__]
    assert {"NotFound", "ThreadBusy", "LeaseLost", "Unavailable", "ModelFailure", "ToolError"} <= set(shared)
    for name in shared:
        assert getattr(chatrack, name) is getattr(errors, name)


def test_the_tree_of_errors_shows_every_class_below_its_base():
    shown: dict[str, str | None] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?:\s|$)", line)
        if found:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            shown[found[2]] = path[depth - 1] if depth else None
    classes = {name: value for name in errors.__all__ if inspect.isclass(value := getattr(errors, name))}
    bases = {
        name: next((base.__name__ for base in cls.__bases__ if base.__name__ in classes), None)
        for name, cls in classes.items()
    }
    assert shown == bases


def test_the_tree_of_errors_shows_the_status_of_each_refused_request():
    for name in errors.__all__:
        cls = getattr(errors, name)
        if inspect.isclass(cls) and issubclass(cls, errors.RequestError) and cls is not errors.RequestError:
            assert re.search(rf"─ {name}\s+{cls.status}\b", errors.__doc__), name


def test_not_found_is_also_the_error_of_chatkits_own_stores():
    with pytest.raises(chatkit.store.NotFoundError) as caught:
        raise chatrack.NotFound("There is no such thread.", field="params.thread_id")
    assert isinstance(caught.value, chatrack.RequestError)
    assert (caught.value.status, caught.value.detail) == (404, "There is no such thread.")
    assert str(caught.value) == "There is no such thread."


def test_model_settings_are_those_of_the_agents_sdk():
    assert chatrack.ModelSettings is importlib.import_module("agents").ModelSettings


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_load_no_heavy_library(option):
    code = f"""
import sys
from chatrack.cli import main
try:
    main(["{option}"])
except SystemExit as end:
    assert end.code == 0
"""
    assert loaded_by(code) == set()


def test_all_errors_but_not_found_load_no_heavy_library():
    code = """
from chatrack import errors
for name in errors.__all__:
    if name not in {"NotFound", "LeaseLost"}:
        getattr(errors, name)
"""
    assert loaded_by(code) == set()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "enabled = [\n",
        "enabled = [5]\n[server]\nport = 99999\n[chat]\nlease = 'long'\n[nothing]\n",
        'enabled = []\n[server]\nport = { env = "CHATRACK_TEST_PORT" }\ncors_origins = ["x"]\n',
    ],
    ids=["no file", "not TOML", "wrong values", "a missing variable"],
)
def test_a_mistake_in_the_tables_of_the_core_loads_no_heavy_library(text, tmp_path):
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    code = f"""
from pathlib import Path
from chatrack.config import load_config
from chatrack.errors import ConfigError
try:
    load_config(Path({str(path)!r}))[1].raise_if_any()
except ConfigError as error:
    assert "config.toml: " in str(error)
else:
    raise AssertionError("the mistake was not noticed")
"""
    assert loaded_by(code) == set()


@pytest.mark.parametrize("text", [None, "enabled = [\n"], ids=["no file", "not TOML"])
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_command_without_a_readable_config_loads_no_heavy_library(command, text, tmp_path):
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    code = f"""
from chatrack.cli import main
try:
    main(["{command}", "--config", {str(path)!r}])
except SystemExit as end:
    assert end.code == 2
"""
    assert loaded_by(code) == set()
