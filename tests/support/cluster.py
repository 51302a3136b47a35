"""A PostgreSQL server for one test, which can stop, start and freeze it."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL

from tests.support.process import START, STOP
from tests.support.waiting import LIMIT, until

FAST = signal.SIGINT
"""What `pg_ctl stop -m fast` sends: roll back, and close connections in order."""

IMMEDIATE = signal.SIGQUIT
"""What `pg_ctl stop -m immediate` sends: exit at once, and recover at the next start."""

_USER = "chatrack"
_DATABASE = "postgres"
_UNPRIVILEGED = ("postgres", "nobody")
"""Accounts that run it if the tests run as root, which PostgreSQL refuses."""


class Cluster:
    """A PostgreSQL server on a free port, with a user that has a password.

    Args:
        folder: for its files; the user that it runs as owns it.
        programs: where its programs are.
        owner: the user that it runs as, if it cannot be this one.
    """

    def __init__(self, folder: Path, programs: Path, owner: pwd.struct_passwd | None) -> None:
        self.password = f"{secrets.token_hex(4)} @:/?#%"
        self._folder = folder
        self._programs = programs
        self._as: dict[str, Any] = (
            {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        )
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen: list[int] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        """The URL of a database."""
        return URL.create(
            "postgresql",
            username=_USER,
            password=self.password,
            host="127.0.0.1",
            port=self._port,
            database=_DATABASE,
        ).render_as_string(hide_password=False)

    def create(self) -> None:
        """Create its data folder."""
        secret = self._folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        self._run("initdb", "--username", _USER, "--pwfile", secret, "--auth", "scram-sha-256", "--no-sync",
                  "--encoding", "UTF8", "--no-locale", "--pgdata", self._folder / "data")  # fmt: skip

    async def start(self) -> None:
        """Start it, and wait until it accepts queries."""
        self._process = self._spawn()

        async def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()
            try:
                await self.fetch("SELECT 1")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return False
            return True

        await until(answers, START, self._log.read_text)

    async def stop(self, how: signal.Signals = FAST) -> None:
        """Stop it with `FAST` or `IMMEDIATE`, and wait until it has exited."""
        process = self._process
        assert process is not None
        process.send_signal(how)
        await until(lambda: process.poll() is not None, STOP, self._log.read_text)

    def freeze(self) -> None:
        """Let it accept connections and answer nothing, as an overloaded machine does."""
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        self._frozen = [*map(int, children), pid]
        for child in self._frozen:
            os.kill(child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        for pid in self._frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    async def fetch(self, statement: str) -> list[Any]:
        """Return the rows of a query, over a new connection."""
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=self._port,
            user=_USER,
            password=self.password,
            database=_DATABASE,
            timeout=LIMIT,
        )
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close(timeout=LIMIT)

    def kill(self) -> None:
        """Stop it, whatever state it is in."""
        self.thaw()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(IMMEDIATE)
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 60,
            "shared_buffers": "16MB",
            "dynamic_shared_memory_type": "mmap",
        }
        command = [self._programs / "postgres", "-D", self._folder / "data"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in options.items())],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as,
            )

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=START,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def new_cluster() -> Iterator[Cluster]:
    """Create a server that is not started yet, and remove it in the end; skip the test if it cannot be created."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    owner = None
    if os.geteuid() == 0:
        owner = next(filter(None, map(_account, _UNPRIVILEGED)), None)
        if owner is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
    # Not below pytest's own folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="chatrack-postgresql-"))
    if owner is not None:
        try:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        except OSError as error:  # in a user namespace that has no user but root
            folder.rmdir()
            pytest.skip(
                f"PostgreSQL does not run as root, and {owner.pw_name} cannot be used: {error.strerror}"
            )
    cluster = Cluster(folder, programs, owner)
    try:
        cluster.create()
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in installed), key=lambda path: int(path.parent.name), default=None)


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
