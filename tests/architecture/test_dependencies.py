"""What a distribution imports it declares, with bounds where it relies on more than is documented."""

import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT, imports_of, python_files, relative
from tests.architecture.test_upstream_private import PRIVATE

DISTRIBUTIONS = [ROOT / "core", *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def requirements(folder: Path) -> dict[str, str]:
    """Return what a distribution declares, its extras too: what follows each name, by name."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project.get("dependencies", []), *(line for extra in extras for line in extra)]
    split = [re.fullmatch(r"([\w.-]+)(.*)", line) for line in lines]
    return {normalized(found[1]): found[2] for found in split if found is not None}


@cache
def installed_packages() -> Mapping[str, list[str]]:
    """Return the distributions of each installed package."""
    return packages_distributions()


def distributions_of(package: str) -> set[str]:
    if package == "chatrack" or package.startswith("chatrack_"):
        return {normalized(package)}  # installed in place, which leaves no list of packages
    return {normalized(name) for name in installed_packages()[package]}


def imported_packages(folder: Path) -> dict[str, str]:
    """Return the packages of others that a distribution imports, and one place that does."""
    own = {path.stem for path in (folder / "src").iterdir()}
    found: dict[str, str] = {}
    for path in python_files(folder / "src"):
        for imported in imports_of(path):
            package = imported.module.split(".")[0]
            if package not in sys.stdlib_module_names and package not in own:
                found.setdefault(package, f"{relative(path)}:{imported.line}")
    return found


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_what_is_imported_is_declared(folder):
    assert not {
        package: place
        for package, place in imported_packages(folder).items()
        if not distributions_of(package) & set(requirements(folder))
    }


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_sqlalchemy_is_declared_with_its_asyncio_extra(folder):
    if "sqlalchemy" in imported_packages(folder):
        assert requirements(folder)["sqlalchemy"].startswith("[asyncio]")


@pytest.mark.parametrize("package", sorted({part.split(".")[0] for part in PRIVATE} - {"logging"}))
def test_a_library_whose_private_parts_are_used_is_bound_to_a_minor_version(package):
    [distribution] = distributions_of(package)
    declared = requirements(ROOT / "core")[distribution]
    found = re.fullmatch(r">=(\d+)\.(\d+)(?:\.\d+)?,<(\d+)\.(\d+)", declared)
    assert found, f"{distribution}{declared}: expected `>=X.Y,<X.Z`"
    assert (found[1], int(found[2]) + 1) == (found[3], int(found[4]))
