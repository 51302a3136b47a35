"""`chatrack copy`."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from chatrack import logs
from chatrack.assembly import Progress, copy_all, load_side, pair
from chatrack.cli.signals import run_with_signals
from chatrack.cli.table import show


def copy(source: Path, target: Path) -> int:
    """Copy everything from the databases of one config into those of another, and print what was copied.

    Args:
        source: the config file to copy from.
        target: the config file to copy to.

    Returns:
        The exit code.

    Raises:
        StartupError: something is wrong.
    """
    sides = load_side(source), load_side(target)
    logs.configure("warning", sides[1].assembly.config.server.log_format)
    pairing = pair(*sides)
    for plugin in pairing.same:
        click.echo(f"note: {plugin} has the same database in both configs; there is nothing to copy")
    done: list[tuple[str, int]] = []

    async def work() -> None:
        with _Bar() as progress:
            done.extend(await copy_all(*sides, pairing, progress))

    code = run_with_signals(work())
    if code:
        click.echo("chatrack: interrupted; the same command goes on where it was", err=True)
        return code
    if done:
        show(("table", "rows"), [(table, f"{rows:,}") for table, rows in done])
    click.echo("Copied and verified.")
    return 0


class _Bar(contextlib.ExitStack, Progress):
    """A progress bar on stderr, if that is a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def begin(self, what: str, rows: int) -> None:
        self.close()  # the bar before; the next one stands below it
        if sys.stderr.isatty():
            bar = click.progressbar(length=rows, label=what.ljust(9), show_pos=True, file=sys.stderr)
            self._bar = self.enter_context(bar)

    def advance(self, rows: int) -> None:
        if self._bar is not None:
            self._bar.update(rows)
