"""Starting `chatrack` quickly: a process that has imported it already forks, and the child is the command.

What the child does is what the installed script does; importing is nine tenths of a start, and a suite starts
a hundred servers. A few tests run the script itself.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

_PRELOADED = [
    "alembic.command",
    "chatrack.builtin.demo_provider",
    "chatrack.builtin.openai_provider",
    "chatrack.builtin.sqlite_store",
    "chatrack.cli.serve",
    "chatrack.http.process",
    "chatrack.http.workers",
    "chatrack_todo_tools",
]

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(_PRELOADED)


class Forked:
    """A running `chatrack`, with the few methods of `subprocess.Popen` that tests need.

    Args:
        command: the script and its arguments.
        cwd: its folder.
        env: its environment.
        log: the file for what it prints.
    """

    def __init__(self, command: list[str], *, cwd: Path, env: dict[str, str], log: Path) -> None:
        self._process = context.Process(target=_be, args=(command, str(cwd), env, str(log)))
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

    def wait(self, timeout: float) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode


def _be(command: list[str], cwd: str, env: dict[str, str], log: str) -> None:
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.path[:0] = [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = command
    from chatrack.cli import main

    main(command[1:], prog_name="chatrack")
