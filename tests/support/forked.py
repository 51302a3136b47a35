"""Fast starts of commands: they are forked from a process that has imported what they need.

The child does what the installed script, or `python -m`, does. Imports are nine tenths of a start, and the tests
start hundreds of servers. A few tests run the installed script.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

_PRELOADED = [
    "alembic.command",
    "alembic.config",
    "anyio._backends._asyncio",
    "tests.fake_openai",
    "chatrack.builtin.demo_provider",
    "chatrack.builtin.openai_provider",
    "chatrack.builtin.sqlite_store",
    "chatrack.cli.serve",
    "chatrack.http.process",
    "chatrack.http.workers",
    "chatrack.sql.backends.sqlite",
    "chatrack_mysql_store",
    "chatrack_postgres_store",
    "chatrack_todo_tools",
    "encodings.idna",
    "httpcore2",
    "litestar._kwargs.kwargs_model",
    "litestar.middleware.response_cache",
    "litestar.plugins.attrs",
    "litestar.plugins.pydantic",
    "openai.lib.streaming.responses",
    "openai.resources.chat",
    "openai.resources.responses",
    "sqlalchemy.dialects.mysql.asyncmy",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "truststore",
    "uvicorn.lifespan.off",
    "uvicorn.loops.uvloop",
    "tests.support.warm_up",
    "tests.support.freeze_gc",  # the last one: it freezes what the others have created
]
"""What servers import, also late; names that cannot be imported are ignored."""

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(_PRELOADED)

_fork_server: Any = multiprocessing.forkserver._forkserver
_SHARED = ("_forkserver_address", "_forkserver_authkey")


def start_fork_server() -> dict[str, Any]:
    """Start the process that others fork from, and return what it takes to use it from other processes."""
    _fork_server.ensure_running()
    return {name: getattr(_fork_server, name) for name in _SHARED if hasattr(_fork_server, name)}


def use_fork_server(shared: dict[str, Any]) -> None:
    """Fork from a process that another one has started: importing everything takes it seconds.

    Args:
        shared: what `start_fork_server` has returned there.
    """
    for name, value in shared.items():
        setattr(_fork_server, name, value)
    # The children close it; the one that keeps the process alive is its parent's.
    _, _fork_server._forkserver_alive_fd = os.pipe()
    _fork_server.ensure_running = lambda: None


class Forked:
    """A running command, with the few methods of `subprocess.Popen` that tests need.

    Args:
        command: `chatrack` and its arguments, or Python with `-m`, a module and its arguments.
        cwd: its folder.
        env: its environment.
        log: the file for what it prints.
        errors: the file for what it writes to stderr; `log` if None.
        stdin: the file that it reads; nothing by default.
    """

    def __init__(
        self,
        command: list[str],
        *,
        cwd: Path,
        env: dict[str, str],
        log: Path,
        errors: Path | None = None,
        stdin: Path = Path(os.devnull),
    ) -> None:
        arguments = (command, str(cwd), env, str(stdin), str(log), str(errors or log))
        self._process = context.Process(target=_run, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode


def _run(command: list[str], cwd: str, env: dict[str, str], stdin: str, log: str, errors: str) -> None:
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(stdin, os.O_RDONLY | os.O_NOCTTY), 0)
    os.dup2(output, 1)
    os.dup2(
        output if errors == log else os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY), 2
    )
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # ignored under nohup, for one
        signal.signal(number, signal.SIG_DFL)
    sys.path[:0] = [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if command[1] == "-m":
        sys.argv = command[2:]
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
        return
    sys.argv = command
    from chatrack.cli import main

    main(command[1:], prog_name="chatrack")
