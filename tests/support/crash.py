"""`chatrack` in a process that kills itself before a given statement."""

import os
import signal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from tests.support.forked import context
from tests.support.waiting import PROCESS_LIMIT


def run_killed(*args: str, folder: Path, before: str = "", nth: int = 1, rows: int = 3) -> tuple[int, str]:
    """Run a command in a new process that kills itself on the way.

    Args:
        args: the command.
        folder: where its output goes.
        before: the beginning of the statement before which it is killed; `COMMIT` counts as a statement. Not killed if empty.
        nth: which of these statements, counted from 1.
        rows: the rows of a batch of `copy`.

    Returns:
        The exit code, -9 if it was killed, and the output.
    """
    process = start(*args, folder=folder, before=before, nth=nth, rows=rows)
    process.join(PROCESS_LIMIT)
    log = (folder / "command.log").read_text()
    assert process.exitcode is not None, log
    return process.exitcode, log


def start(*args: str, folder: Path, before: str = "", nth: int = 1, rows: int = 3) -> Any:
    """Start a command in a new process; its output goes to `command.log` in the folder."""
    process = context.Process(target=_run, args=(args, str(folder / "command.log"), before, nth, rows))
    process.start()
    return process


def _run(args: tuple[str, ...], log: str, before: str, nth: int, rows: int) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from chatrack.cli import main
    from chatrack.sql.copying import batches

    batches.ROWS = rows
    left = nth

    def count(statement: str) -> None:
        nonlocal left
        if before and " ".join(statement.split()).startswith(before):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        count(statement)

    def commit(_connection: Any) -> None:
        count("COMMIT")

    event.listen(Engine, "before_cursor_execute", execute)
    event.listen(Engine, "commit", commit)
    main(list(args), prog_name="chatrack")
