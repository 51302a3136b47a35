"""`chatrack check`."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from chatrack import logs
from chatrack.assembly import Assembly, TablesState, assemble, check_connections
from chatrack.cli.table import show
from chatrack.errors import StartupError


def check(path: Path) -> None:
    """Load and validate everything, connect to all databases, and print what is configured. Nothing is written.

    Args:
        path: the config file.

    Raises:
        StartupError: the server would not start.
    """
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    from chatrack.chat.server import ChatrackServer
    from chatrack.http.app import create_app  # late: a config with mistakes is reported without loading them

    create_app(ChatrackServer(assembly))
    states, limits = asyncio.run(_connect(assembly))
    show(("what", "value"), [*_rows(path, assembly, states), ("limits", limits)])
    for note in assembly.notes:
        click.echo(f"note: {note}")
    if any(state.prevents_start for state in states):
        raise StartupError(
            [
                f"the tables of {state.plugin} are at revision {state.revision}, and this version needs "
                f"{state.needed}; run `chatrack migrate`, or set `auto_migrate = true`"
                for state in states
                if state.prevents_start
            ]
        )
    click.echo("The configuration is valid.")


async def _connect(assembly: Assembly) -> tuple[list[TablesState], str]:
    """Return the state of the tables, and what is limited."""
    states = await check_connections(assembly)
    try:
        return states, await assembly.limits.describe()
    finally:
        await assembly.limits.close()


def _rows(path: Path, assembly: Assembly, states: Iterable[TablesState]) -> Iterator[tuple[str, str]]:
    server = assembly.config.server
    default_agent = assembly.default_agent
    others = [agent for agent in assembly.agents.values() if agent is not default_agent]
    authenticators = [type(authenticator).__name__ for authenticator in assembly.authenticators]
    yield "config", str(path)
    yield "address", f"http://{server.host}:{server.port}{server.path}"
    yield "store", assembly.store_plugin
    yield "files", assembly.file_store.plugin if assembly.file_store else "none are taken"
    yield from _listed("tables", [f"{state.plugin}: {state}" for state in states])
    everyone = (
        f"everyone is the local user ({'from anywhere' if server.allow_anonymous else 'loopback only'})"
    )
    yield "users", ", ".join(authenticators) or everyone
    yield from _listed("agent", [f"{agent.address} ({agent.model})" for agent in [default_agent, *others]])
    yield "providers", ", ".join(sorted(assembly.models.providers)) or "none"
    yield "users choose", ", ".join(assembly.selectable) or "no model"
    yield "dictation", assembly.transcriber.name if assembly.transcriber else "none"
    yield "tools", ", ".join(sorted(assembly.tools)) or "none"
    guarded = [
        f"{agent.address}: {', '.join(bound.address for bound in agent.guardrails)}"
        for agent in assembly.agents.values()
        if agent.guardrails
    ]
    yield from _listed("guardrails", guarded or ["none"])
    yield "actions", ", ".join(sorted(assembly.actions)) or "none"


def _listed(what: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield a row for each value; only the first has the label."""
    for value in values:
        yield what, value
        what = ""
