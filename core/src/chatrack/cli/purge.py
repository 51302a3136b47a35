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
from chatrack.cli.signals import run_with_signals
from chatrack.cli.table import show
from chatrack.clock import now, to_wire
from chatrack.errors import StartupError
from chatrack.interfaces import User

_AGE = re.compile(r"([0-9]{1,9})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}

_DECLINED = 1
"""The exit code when the answer is no."""


def purge(
    path: Path, *, user: str | None, tenant: str | None, older_than: str | None, confirmed: bool
) -> int:
    """Remove what is kept about a user, or what is old, and print what was removed.

    Args:
        path: the config file.
        user: the user's id.
        tenant: the tenant's; may be absent if there is only the default one.
        older_than: how old, instead of whose: `90d`, `12h`, `4w`.
        confirmed: do not ask.

    Returns:
        The exit code.

    Raises:
        StartupError: something is wrong.
    """
    if (user is None) == (older_than is None):
        raise StartupError("--user, --older-than: give exactly one of them")
    if older_than is not None and tenant is not None:
        raise StartupError("--tenant: it goes with --user; --older-than is about all tenants")
    moment = None if older_than is None else _moment_of(older_than)
    user_id = None if user is None else user_option.check(user, tenant)
    if not confirmed and not sys.stdin.isatty():
        raise StartupError("--yes: nobody can be asked here, and what is removed is gone for good")
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    goal = moment or asyncio.run(_find(assembly, str(user_id), tenant))
    click.echo(f"This removes for good {_describe(goal)}.", err=True)
    if not confirmed and not click.confirm("Go on?", err=True):
        click.echo("Nothing was removed.", err=True)
        return _DECLINED
    return _purge(assembly, goal)


def _purge(assembly: Assembly, goal: User | datetime) -> int:
    removed: Counter[tuple[str, str]] = Counter()
    try:
        code = run_with_signals(_remove(assembly, goal, removed))
    finally:
        # Also when it ends early: what is in the table is gone all the same.
        rows = [(source, kind, f"{count:,}") for (source, kind), count in removed.items() if count]
        if rows:
            show(("source", "kind", "removed"), rows)
    if code:
        click.echo("chatrack: interrupted; the same command removes the rest", err=True)
    elif not rows:
        click.echo("There was nothing to remove.", err=True)
    return code


async def _remove(assembly: Assembly, goal: User | datetime, removed: Counter[tuple[str, str]]) -> None:
    async with open_user_data(assembly) as data:
        batches = data.purge(goal) if isinstance(goal, User) else data.purge_before(goal)
        async with contextlib.aclosing(batches):
            async for source, counts in batches:
                removed.update({(source, kind): count for kind, count in counts.items()})


async def _find(assembly: Assembly, user: str, tenant: str | None) -> User:
    async with open_user_data(assembly) as data:
        return await user_option.find(data, user, tenant)


def _describe(goal: User | datetime) -> str:
    if isinstance(goal, User):
        return f"all that is kept about {user_option.name_of(goal)}"
    return f"all that was last written to before {to_wire(goal)}, of all users"


def _moment_of(age: str) -> datetime:
    """Give the moment that is so long ago.

    Raises:
        StartupError: it is no age.
    """
    found = _AGE.fullmatch(age)
    if found is None or not int(found[1]):
        raise StartupError(f"--older-than: expected hours, days or weeks such as 12h, 90d or 4w, got {age!r}")
    try:
        return now() - timedelta(hours=int(found[1]) * _HOURS[found[2]])
    except OverflowError:
        raise StartupError(f"--older-than: {age} ago is before all time") from None
