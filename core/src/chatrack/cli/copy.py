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
    """Copy everything from the databases of one config into those of another, and print the number of rows.

    Args:
        source: the config file to copy from.
        target: the config file to copy to.

    Returns:
        The exit code.

    Raises:
        StartupError: a config has mistakes, or the tables cannot be copied.
    """
    sides = load_side(source), load_side(target)
    logs.configure("warning", sides[1].assembly.config.server.log_format)
    pairing = pair(*sides)
    for plugin in pairing.same:
        click.echo(f"note: {plugin} has the same database in both configs; there is nothing to copy")
    row_counts: list[tuple[str, int]] = []

    async def work() -> None:
        with _Bar() as progress:
            row_counts.extend(await copy_all(*sides, pairing, progress))

    code = run_with_signals(work())
    if code:
        click.echo("chatrack: interrupted; run the same command again to resume", err=True)
        return code
    if row_counts:
        show(("table", "rows"), [(table, f"{rows:,}") for table, rows in row_counts])
    click.echo("Copied and verified.")
    return 0


class _Bar(contextlib.ExitStack, Progress):
    """A progress bar on stderr. It prints nothing if stderr is not a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def begin(self, label: str, rows: int) -> None:
        self.close()  # ends the bar of the previous step; the next bar is printed below it
        if sys.stderr.isatty():
            bar = click.progressbar(length=rows, label=label.ljust(9), show_pos=True, file=sys.stderr)
            self._bar = self.enter_context(bar)

    def advance(self, rows: int) -> None:
        if self._bar is not None:
            self._bar.update(rows)
