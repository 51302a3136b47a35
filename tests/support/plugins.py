"""Plugins that are really installed for a test: distributions in a folder on the path."""

import contextlib
import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from chatrack import entry_points

HEAD = """\
import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from litestar import get

import chatrack
from chatrack import *
from chatrack import User, function_tool, hookimpl
from chatrack.sql import Database, SQLStore
"""
"""What every fake plugin imports, so that the tests show only what they are about."""

TOOL = """
@hookimpl
def tools(self):
    @function_tool
    def {name}() -> str:
        "Do it."
        return "done"
    return [{name}]
"""
"""A body that registers one tool; to be formatted with its `name`."""

AUTHENTICATOR = """
@hookimpl
def authenticators(self):
    class Everyone(chatrack.Authenticator):
        async def authenticate(self, connection):
            return User(id="somebody")
    return [Everyone()]
"""
"""A body that registers an authenticator."""


class Site:
    """A folder of installed distributions, on `sys.path`.

    Args:
        folder: where they are; the `PYTHONPATH` of a subprocess that is to find them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def install(
        self,
        name: str,
        body: str = "",
        *,
        head: str = "",
        api: str = "api = 1",
        init: str = "self.settings = settings",
    ) -> None:
        """Install a plugin whose class is called `Plugin`; its distribution is `fake-<name>` 1.0.

        Args:
            name: the name of the plugin; its module is `fake_<name>`.
            body: the members of the class.
            head: stands before the class.
            api: the line that says which plugin API it was written for.
            init: the body of `__init__`, which gets `settings`.
        """
        members = "\n".join(
            [api, "def __init__(self, settings):", textwrap.indent(init or "pass", "    "), body]
        )
        source = f"{HEAD}\n{textwrap.dedent(head)}\nclass Plugin:\n{textwrap.indent(members, '    ')}\n"
        self.install_source(name, source)

    def install_source(
        self,
        name: str,
        source: str,
        *,
        target: str = "Plugin",
        distribution: str | None = None,
        module: str | None = None,
        version: str = "1.0",
        group: str = "chatrack",
    ) -> None:
        """Install a distribution with one module and one entry point.

        Args:
            name: the name of the entry point: the plugin's, or the URL scheme of a SQL backend.
            source: the text of the module.
            target: what the entry point names in the module.
            distribution: its name; `fake-<name>` if None.
            module: its name; `fake_<name>` if None.
            version: the distribution's.
            group: the group of the entry point.
        """
        distribution = distribution or f"fake-{name.replace('_', '-')}"
        module = module or f"fake_{name}"
        (self.folder / f"{module}.py").write_text(source, encoding="utf-8")
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{target}\n", encoding="utf-8")
        self.modules.append(module)
        importlib.invalidate_caches()
        entry_points.forget()

    def imported(self, name: str) -> ModuleType | None:
        """Return the module of a plugin, or None if it is not imported."""
        return sys.modules.get(f"fake_{name}")

    def forget(self) -> None:
        """Drop the plugins' modules, as if nobody had imported them."""
        for module in self.modules:
            sys.modules.pop(module, None)


@contextlib.contextmanager
def installed_site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Put a folder of fake distributions on the path; in the end, drop their modules."""
    site = Site(folder)
    monkeypatch.syspath_prepend(str(folder))
    try:
        yield site
    finally:
        site.forget()
        importlib.invalidate_caches()
        entry_points.forget()
