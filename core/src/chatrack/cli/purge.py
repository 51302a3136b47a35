"""`chatrack purge`."""

import asyncio
import contextlib
import re
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import click

from chatrack import logs
from chatrack.assembly import Assembly, assemble, open_user_data
from chatrack.cli import user_option
from chatrack.cli.audit_log import open_audit_log, record_command
from chatrack.cli.signals import run_with_signals
from chatrack.cli.table import show
from chatrack.clock import now, to_wire
from chatrack.errors import StartupError
from chatrack.interfaces import User

_AGE = re.compile(r"([0-9]{1,9})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}

_DECLINED = 1
"""The exit code if the operator does not confirm."""


def purge(
    path: Path, *, user: str | None, tenant: str | None, older_than: str | None, confirmed: bool
) -> int:
    """Delete all data of a user, or all old data, and print what was deleted.

    Args:
        path: the config file.
        user: the user's id.
        tenant: the user's tenant; None if all data is of the tenant `default`.
        older_than: the age of the data, instead of a user: `90d`, `12h`, `4w`.
        confirmed: do not ask for confirmation.

    Returns:
        The exit code.

    Raises:
        StartupError: the options or the config have mistakes, or the data cannot be deleted.
    """
    if (user is None) == (older_than is None):
        raise StartupError("--user, --older-than: exactly one of them is required")
    if older_than is not None and tenant is not None:
        raise StartupError("--tenant: only with --user; --older-than is about all tenants")
    moment = None if older_than is None else _moment_before(older_than)
    user_id = None if user is None else user_option.check(user, tenant)
    if not confirmed and not sys.stdin.isatty():
        raise StartupError("--yes: required without a terminal to ask for confirmation")
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    open_audit_log(assembly.config)
    target = moment or asyncio.run(_find(assembly, str(user_id), tenant))
    click.echo(f"This deletes {_describe(target)}. It cannot be undone.", err=True)
    if not confirmed and not click.confirm("Continue?", err=True):
        click.echo("Nothing was deleted.", err=True)
        return _DECLINED
    return _purge(assembly, target)


def _purge(assembly: Assembly, target: User | datetime) -> int:
    deleted: Counter[tuple[str, str]] = Counter()
    if isinstance(target, User):
        record_command("purged", target)
    else:
        record_command("purged", None, before=to_wire(target))
    try:
        code = run_with_signals(_delete(assembly, target, deleted))
    finally:
        # Also if it ends early: the batches that were counted are deleted.
        rows = [(source, kind, f"{count:,}") for (source, kind), count in deleted.items() if count]
        if rows:
            show(("source", "kind", "deleted"), rows)
    if code:
        click.echo("chatrack: interrupted; run the same command again to delete the rest", err=True)
    elif not rows:
        click.echo("There was nothing to delete.", err=True)
    return code


async def _delete(assembly: Assembly, target: User | datetime, deleted: Counter[tuple[str, str]]) -> None:
    async with open_user_data(assembly) as data:
        batches = data.purge(target) if isinstance(target, User) else data.purge_before(target)
        async with contextlib.aclosing(batches):
            async for source, counts in batches:
                deleted.update({(source, kind): count for kind, count in counts.items()})


async def _find(assembly: Assembly, user: str, tenant: str | None) -> User:
    async with open_user_data(assembly) as data:
        return await user_option.find(data, user, tenant)


def _describe(target: User | datetime) -> str:
    if isinstance(target, User):
        return f"all data of {user_option.describe(target)}"
    return f"everything that was last changed before {to_wire(target)}, of all users"


def _moment_before(age: str) -> datetime:
    """Return the moment that is an age before now.

    Raises:
        StartupError: it is not an age, or too long.
    """
    match = _AGE.fullmatch(age)
    if match is None or not int(match[1]):
        raise StartupError(f"--older-than: expected hours, days or weeks such as 12h, 90d or 4w, got {age!r}")
    try:
        return now() - timedelta(hours=int(match[1]) * _HOURS[match[2]])
    except OverflowError:
        raise StartupError(f"--older-than: {age} is too long") from None
