"""The source files of core and of the plugins, and what they import."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "src" / "chatrack"
PLUGINS = sorted((ROOT / "plugins").glob("*/src/*"))
SOURCES = [CORE, *PLUGINS]


@dataclass(frozen=True)
class Import:
    """One imported module."""

    module: str
    typing_only: bool
    line: int


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def module_of(path: Path) -> str:
    package = next(folder for folder in SOURCES if path.is_relative_to(folder))
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


MODULES = {module_of(path): path for path in python_files(*SOURCES)}
CORE_FILES = [path for path in python_files(CORE) if path.relative_to(CORE).parts[0] != "builtin"]
GUESTS = python_files(CORE / "builtin", *PLUGINS)
"""Built-ins and plugins: they use core as anybody's plugin does."""


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """Return everything a file imports, late and for type checkers too.

    `from package import module` counts as an import of the module.
    """
    found: dict[Import, None] = {}

    def visit(node: ast.AST, *, typing_only: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[Import(alias.name, typing_only, node.lineno)] = None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                module = whole if whole in MODULES else node.module
                found[Import(module, typing_only, node.lineno)] = None
        elif isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for child in node.body:
                visit(child, typing_only=True)
            for child in node.orelse:
                visit(child, typing_only=typing_only)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child, typing_only=typing_only)

    visit(tree_of(path), typing_only=False)
    return tuple(found)
