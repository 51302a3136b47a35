"""`chatrack export`."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import click

from chatrack import logs
from chatrack.assembly import Assembly, assemble, open_user_data
from chatrack.cli import user_option
from chatrack.cli.audit_log import open_audit_log, record_command
from chatrack.errors import StartupError

_BUFFER_SIZE = 64 * 1024
"""Bytes after which the output is written to stdout."""


def export(path: Path, *, user: str | None, tenant: str | None) -> int:
    """Write all data of a user to stdout, as JSON Lines.

    Args:
        path: the config file.
        user: the user's id.
        tenant: the user's tenant; None if all data is of the tenant `default`.

    Returns:
        The exit code.

    Raises:
        StartupError: the options or the config have mistakes, or the data cannot be read or written.
    """
    user = user_option.check(user, tenant)
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    open_audit_log(assembly.config)
    try:
        asyncio.run(_export(assembly, user, tenant))
    except _ReaderGone:
        return 128 + signal.SIGPIPE  # the exit code of any program in a broken pipe
    return 0


class _ReaderGone(Exception):
    """The program that reads the output has ended."""


class _Output:
    """Buffered lines to stdout."""

    def __init__(self) -> None:
        self._stream = sys.stdout.buffer
        self._lines: list[bytes] = []
        self._size = 0
        self.is_empty = True

    def add(self, line: bytes) -> None:
        self.is_empty = False
        self._lines.append(line + b"\n")
        self._size += len(line)
        if self._size > _BUFFER_SIZE:
            self.flush()

    def flush(self) -> None:
        try:
            self._stream.write(b"".join(self._lines))
            self._stream.flush()
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except OSError as error:
            raise StartupError(f"the export is not complete: {error.strerror}") from error
        self._lines.clear()
        self._size = 0


async def _export(assembly: Assembly, user_id: str, tenant: str | None) -> None:
    async with open_user_data(assembly) as data:
        user = await user_option.find(data, user_id, tenant)
        record_command("exported", user)
        output = _Output()
        async with contextlib.aclosing(data.export(user)) as lines:
            async for line in lines:
                output.add(line)
        output.flush()
    if output.is_empty:
        click.echo(f"there is no data of {user_option.describe(user)}", err=True)
