"""Commands as an operator runs them, in this process or in a new one."""

import contextlib
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from click.testing import CliRunner

from chatrack.cli import main
from tests.support.forked import Forked
from tests.support.waiting import LIMIT, PROCESS_LIMIT

EXECUTABLE = Path(sys.executable).with_name("chatrack")

CLEAN = dict.fromkeys(("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_DEFAULT_MODEL", "LOG_LEVEL"))
"""Variables of the tester's environment that must not affect commands."""


@dataclass(frozen=True)
class Outcome:
    """The result of a command.

    Args:
        code: its exit code.
        out: what it wrote to stdout.
        err: what it wrote to stderr; ends with the traceback if it crashed.
    """

    code: int
    out: str
    err: str


def run(*args: str, env: dict[str, str | None] | None = None) -> Outcome:
    """Run a command in this process; restore logging and signal handlers afterwards."""
    with _stopped_after(LIMIT), same_logging():
        result = CliRunner().invoke(main, list(args), env={**CLEAN, **(env or {})})
    err = result.stderr
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        err += "".join(traceback.format_exception(result.exception))
    return Outcome(result.exit_code, result.stdout, err)


def run_process(
    *args: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    stdin: Path = Path(os.devnull),
    stderr: Path | None = None,
) -> Outcome:
    """Run a command in a new process, in a folder.

    Args:
        args: the command.
        cwd: the folder.
        env: more environment.
        stdin: what it reads.
        stderr: where it writes to; a terminal, say. The outcome has what it wrote if None.
    """
    environ = {name: value for name, value in os.environ.items() if name not in CLEAN}
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = Forked(
            [str(EXECUTABLE), *args],
            cwd=cwd,
            env={**environ, **(env or {})},
            log=out,
            errors=stderr or err,
            stdin=stdin,
        )
        code = process.wait(PROCESS_LIMIT)
        if code is None:
            process.kill()
            raise AssertionError(f"it does not end: {out.read_text()}{'' if stderr else err.read_text()}")
        return Outcome(code, out.read_text(), "" if stderr else err.read_text())


def mistake_of(outcome: Outcome) -> str:
    """Return the single line that a refused command wrote to stderr."""
    assert "Traceback" not in outcome.err, outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err or f"exit code {outcome.code}, nothing on stderr"
    assert lines[0].startswith("chatrack: "), outcome.err
    assert outcome.code == 2
    return lines[0]


@contextlib.contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    # A mistake that goes unnoticed makes `serve` serve: it is then told to stop as an operator would do it.
    def stop(_sig: int, _frame: Any) -> None:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            raise TimeoutError("the command did not end")
        os.kill(os.getpid(), signal.SIGTERM)

    before = {sig: signal.getsignal(sig) for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for sig, handler in before.items():
            signal.signal(sig, handler)


@contextlib.contextmanager
def same_logging() -> Iterator[None]:
    """Restore the loggers in the end."""
    # The commands log to the stderr of the moment, which is gone when they have ended.
    loggers = logging.getLogger(), logging.getLogger("chatrack.audit")
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    events = structlog.get_config()
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            for added in set(logger.handlers) - set(handlers):
                added.close()  # the file of the audit log; streams stay open
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
        structlog.configure(**events)
