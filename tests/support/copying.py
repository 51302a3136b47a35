"""Configs over new databases, to copy from and to."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from tests.support.commands import Outcome, run
from tests.support.databases import PLUGINS, new_database, store_tables


class Configs:
    """Config files `<name>.toml` in a folder, each with a new database.

    Args:
        folder: where they are.
        stack: drops the databases when it is closed.
    """

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.urls: dict[str, str] = {}

    def database(self, name: str, kind: str = "sqlite") -> str:
        """Create a database, and return its URL."""
        folder = self.folder / f"{name}-database"
        folder.mkdir()
        self.urls[name] = self._stack.enter_context(new_database(kind, folder))
        return self.urls[name]

    def write(
        self,
        name: str,
        kind: str = "sqlite",
        *,
        url: str | None = None,
        todo_url: str | None = None,
        plugins: Sequence[str] = ("todo_tools",),
        extra: str = "",
    ) -> Path:
        """Write a config.

        Args:
            name: the file's, without `.toml`.
            kind: that of the store's database.
            url: the store's database; a new one if None.
            todo_url: the database of todo_tools, if it has its own.
            plugins: what is enabled beside the store.
            extra: more lines.
        """
        own = f'[plugins.todo_tools]\nurl = "{todo_url}"\n' if todo_url else ""
        path = self.folder / f"{name}.toml"
        path.write_text(
            f'enabled = {json.dumps([PLUGINS[kind], "demo_provider", *plugins])}\n[chat]\nmodel = "demo"\n'
            f"{store_tables(kind, url or self.database(name, kind))}{own}{extra}"
        )
        return path

    def execute(self, name: str, statement: str, *values: Any) -> list[Any]:
        """Run a statement in the SQLite database of a config."""
        with contextlib.closing(sqlite3.connect(make_url(self.urls[name]).database or "")) as connection:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
        return found


@contextlib.contextmanager
def configs(folder: Path) -> Iterator[Configs]:
    """Yield a writer of configs; drop their databases in the end."""
    with contextlib.ExitStack() as stack:
        yield Configs(folder, stack)


def copy(source: Path, target: Path) -> Outcome:
    """Run `chatrack copy` in this process."""
    return run("copy", "--from", str(source), "--to", str(target))
