"""Dependencies point one way, built-ins and plugins are guests, and upstream's private parts are fenced in."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "src" / "chatrack"
PLUGINS = sorted((ROOT / "plugins").glob("*/src/*"))
SOURCES = [CORE, *PLUGINS]

LAYERS = (
    # From the bottom to the top; a layer may import those before it, and itself.
    "errors",
    "ids",  # ids, clock and logs know nothing of Chatrack
    "clock",
    "logs",
    "settings",
    "interfaces",  # what plugins implement and are given
    "models",  # models behind endpoints that speak OpenAI's APIs
    "sql",  # one implementation of the store's interface, and what plugins with tables use
    "testing",  # what plugins' own tests use; nothing else imports it
    "hookspecs",
    "config",
    "plugins",
    "assembly",
    "chat",
    "http",
    "cli",
    "__main__",
)

UPWARD = {
    # (module, imported module): why it may look up the table, for type checkers only.
    ("chatrack.interfaces.store", "chatrack.sql.database"): "a SQL store tells plugins of its database",
    ("chatrack.interfaces.migrations", "chatrack.sql.database"): "migrations apply to a database",
}

PUBLIC = (
    "chatrack",
    "chatrack.errors",
    "chatrack.interfaces",
    "chatrack.models",
    "chatrack.settings",
    "chatrack.sql",
    "chatrack.testing",
)
"""What built-ins and plugins may import. Names in them, not modules below them."""

UPSTREAM = ("chatkit", "agents", "openai", "litestar", "uvicorn")

PRIVATE: dict[tuple[str, str], str] = {
    # (file, private name of an upstream library): why. One file for each name.
    (
        "core/src/chatrack/models/draining.py",
        "_mark_error_to_drain_stream_events",
    ): "without it the SDK drops what came before a failure",
    (
        "core/src/chatrack/models/endpoint.py",
        "_custom_headers",
    ): "the client adds headers from a variable meant for OpenAI, whomever it talks to",
    ("core/src/chatrack/models/stream.py", "_client"): "a stream knows its client under no public name",
    (
        "core/src/chatrack/models/stream.py",
        "_options",
    ): "a stream knows its request under no public name",
}

LONG: dict[str, str] = {
    # A file of more than `LONGEST` lines: why it is one noun all the same.
}
LONGEST = 350

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


@dataclass(frozen=True)
class Import:
    """One imported module."""

    module: str
    typing_only: bool
    late: bool
    line: int


def module_of(path: Path) -> str:
    base = next(folder for folder in SOURCES if path.is_relative_to(folder))
    parts = [base.name, *path.relative_to(base).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


MODULES = {module_of(path): path for path in python_files(*SOURCES)}


def imports_of(path: Path) -> list[Import]:
    """Everything a file imports; `from package import module` counts as the module."""
    found: list[Import] = []

    def visit(node: ast.AST, *, typing_only: bool, late: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, typing_only, late, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                module = whole if whole in MODULES else node.module
                found.append(Import(module, typing_only, late, node.lineno))
        elif isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for child in node.body:
                visit(child, typing_only=True, late=late)
            for child in node.orelse:
                visit(child, typing_only=typing_only, late=late)
        else:
            inner = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, typing_only=typing_only, late=inner)

    visit(tree_of(path), typing_only=False, late=False)
    return list(dict.fromkeys(found))


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


CORE_FILES = [path for path in python_files(CORE) if path.relative_to(CORE).parts[0] != "builtin"]
GUESTS = python_files(CORE / "builtin", *PLUGINS)


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_part_of_core_has_its_place_in_the_table():
    parts = {layer_of(module_of(path)) for path in CORE_FILES}
    assert parts - {""} == set(LAYERS)


def test_dependencies_of_core_point_one_way():
    wrong = []
    for path in CORE_FILES:
        module = module_of(path)
        if module == "chatrack":
            continue  # gathers names from all over, when they are first used: see the next test
        below = LAYERS[: LAYERS.index(layer_of(module)) + 1]
        for one in imports_of(path):
            if not one.module.startswith("chatrack.") or (one.typing_only and (module, one.module) in UPWARD):
                continue
            if layer_of(one.module) not in below:
                wrong.append(f"{shown(path)}:{one.line}: {module} imports {one.module}")
    assert not wrong


def test_the_package_itself_imports_nothing_of_its_own_at_run_time():
    own = [one for one in imports_of(CORE / "__init__.py") if one.module.startswith("chatrack")]
    assert all(one.typing_only for one in own)


def test_core_takes_only_the_version_from_the_package():
    wrong = []
    for path in CORE_FILES:
        for node in ast.walk(tree_of(path)):
            names: list[str] = []
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "chatrack"
            ):
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom) and node.module == "chatrack":
                names = [alias.name for alias in node.names]
            wrong += [
                f"{shown(path)}: chatrack.{name}"
                for name in names
                if name != "__version__" and f"chatrack.{name}" not in MODULES
            ]
    assert not wrong


def test_listed_exceptions_are_still_needed():
    for module, target in UPWARD:
        assert any(one.module == target and one.typing_only for one in imports_of(MODULES[module])), module
    for file, name in PRIVATE:
        assert name in (ROOT / file).read_text(encoding="utf-8")
    for file in LONG:
        assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) > LONGEST


def test_modules_do_not_import_each_other_in_circles():
    graph = {
        module: sorted(
            {
                one.module
                for one in imports_of(path)
                if not one.typing_only and not one.late and one.module in MODULES
            }
        )
        for module, path in MODULES.items()
    }
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " imports ".join([*way[way.index(module) :], module])
        if module in done:
            return
        for target in graph[module]:
            walk(target, (*way, module))
        done.add(module)

    for module in graph:
        walk(module, ())


def test_core_never_imports_a_builtin_by_name():
    wrong = []
    for path in CORE_FILES:
        wrong += [
            f"{shown(path)}:{one.line}"
            for one in imports_of(path)
            if one.module.startswith("chatrack.builtin")
        ]
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                wrong += [f"{shown(path)}:{node.lineno}"] * bool(
                    re.fullmatch(r"chatrack\.builtin[\w.:]*", node.value)
                )
    assert not wrong


def test_builtins_and_plugins_import_only_the_public_surface():
    wrong = []
    for path in GUESTS:
        own = "chatrack.builtin" if path.is_relative_to(CORE) else module_of(path).split(".")[0]
        for one in imports_of(path):
            if one.module == own or one.module.startswith(f"{own}."):
                continue
            if one.module.split(".")[0] == "chatrack" and one.module not in PUBLIC:
                wrong.append(f"{shown(path)}:{one.line}: {one.module} is not public")
    assert not wrong


def test_plugins_never_import_each_other():
    wrong = []
    for path in GUESTS:
        own = module_of(path).split(".")[0]
        others = {folder.name for folder in PLUGINS} - {own}
        for one in imports_of(path):
            parts = one.module.split(".")
            clash = parts[0] in others
            if own == "chatrack" and parts[:2] == ["chatrack", "builtin"] and len(parts) > 2:
                # Built-ins are plugins: each is a module of its own, with one package (its name's beginning) at most.
                mine = path.relative_to(CORE / "builtin").parts[0].removesuffix(".py")
                clash = not (mine.startswith(parts[2]) or parts[2].startswith(mine))
            if clash:
                wrong.append(f"{shown(path)}:{one.line}: imports {one.module}")
    assert not wrong


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def upstream_names(tree: ast.Module) -> set[str]:
    """The names that a file has from upstream libraries."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                (alias.asname or alias.name).split(".")[0]
                for alias in node.names
                if alias.name.split(".")[0] in UPSTREAM
            }
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in UPSTREAM:
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def own_members(tree: ast.AST) -> set[str]:
    """The private names that code defines: functions, fields, slots and assigned attributes."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return names


def private_uses(path: Path) -> Iterator[tuple[str, int]]:
    """Where a file reaches into something private that it did not define itself."""
    tree = tree_of(path)
    upstream, own = upstream_names(tree), own_members(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] in UPSTREAM:
                    yield from ((part, node.lineno) for part in parts if is_private(part))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in UPSTREAM:
            parts = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from ((part, node.lineno) for part in parts if is_private(part))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            first: ast.AST = node.value
            while isinstance(first, ast.Attribute | ast.Call | ast.Subscript):
                first = first.func if isinstance(first, ast.Call) else first.value
            from_upstream = isinstance(first, ast.Name) and first.id in upstream
            if from_upstream or (upstream and node.attr not in own):
                yield node.attr, node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"getattr", "setattr"}
        ):
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and is_private(name.value):
                yield name.value, node.lineno


def test_private_parts_of_upstream_are_touched_only_where_it_is_listed():
    wrong = [
        f"{shown(path)}:{line}: {name} is private to its library"
        for path in python_files(*SOURCES)
        for name, line in private_uses(path)
        if (shown(path), name) not in PRIVATE
    ]
    assert not wrong


def test_private_methods_of_upstream_are_overridden_only_where_it_is_listed():
    wrong = []
    for module, path in MODULES.items():
        if module.endswith("__main__") or ".migrations." in module:
            continue  # these do something when they are imported
        loaded = importlib.import_module(module)
        for cls in [
            value for value in vars(loaded).values() if isinstance(value, type) and value.__module__ == module
        ]:
            bases = [base for base in cls.__mro__[1:] if base.__module__.split(".")[0] in UPSTREAM]
            wrong += [
                f"{shown(path)}: {cls.__qualname__}.{name}"
                for name in filter(is_private, vars(cls))
                if any(callable(vars(base).get(name)) for base in bases)
                and (shown(path), name) not in PRIVATE
            ]
    assert not wrong


def test_each_private_part_is_touched_in_one_file():
    names = [name for _, name in PRIVATE]
    assert len(names) == len(set(names))


def test_no_file_is_called_utils():
    files = [*python_files(*SOURCES, ROOT / "bench", ROOT / "tests")]
    assert not [shown(path) for path in files if "utils" in {path.stem, *path.relative_to(ROOT).parts[:-1]}]


def test_no_source_file_is_too_long():
    lengths = {
        shown(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(*SOURCES, ROOT / "bench")
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST and name not in LONG}


def tracked_files() -> list[Path]:
    """The files that git tracks, or would once they are added."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [name for name in done.stdout.decode().split("\0") if name]
    return [path for name in names if (path := ROOT / name).is_file()]


def test_no_tracked_file_names_a_package_registry():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8").lower()
        except UnicodeDecodeError:
            continue  # not text
        found += [f"{shown(path)}: {host}" for host in REGISTRIES if host in text]
        if re.search(
            r"--(extra-)?index-url|^\s*\[\[tool\.uv\.index\]\]", text, re.MULTILINE
        ) and path != Path(__file__):
            found.append(f"{shown(path)}: an index of its own")
    assert not found
