"""`chatrack check`."""

import asyncio
from pathlib import Path

import click

from chatrack import logs
from chatrack.assembly import assemble, dry_start
from chatrack.cli.table import show


def check(path: Path) -> None:
    """Load, validate and connect everything, then print what there is.

    Args:
        path: the config file.

    Raises:
        StartupError: something is wrong.
    """
    assembly = assemble(path)
    logs.configure("warning", assembly.config.server.log_format)
    from chatrack.chat import ChatrackServer
    from chatrack.http.app import create_app  # late: only a config that has no mistakes comes here

    create_app(ChatrackServer(assembly))
    asyncio.run(dry_start(assembly))
    ways_in = ", ".join(type(one).__name__ for one in assembly.authenticators)
    settings = assembly.config.server
    rows = [
        ("config", str(path)),
        ("address", f"http://{settings.host}:{settings.port}{settings.path}"),
        ("store", assembly.store_plugin),
        ("users", ways_in or "everyone is the local user (loopback only)"),
        ("agent", f"{assembly.default_agent.address} ({assembly.default_agent.model})"),
        *(
            ("", f"{agent.address} ({agent.model})")
            for agent in assembly.agents.values()
            if agent is not assembly.default_agent
        ),
        ("providers", ", ".join(sorted(assembly.models.providers)) or "none"),
        ("users choose", ", ".join(assembly.selectable) or "no model"),
        ("dictation", assembly.transcriber.name if assembly.transcriber else "none"),
        ("tools", ", ".join(sorted(assembly.tools)) or "none"),
        ("actions", ", ".join(sorted(assembly.actions)) or "none"),
    ]
    show(("what", "value"), rows)
    for note in assembly.notes:
        click.echo(f"note: {note}")
    click.echo("All is well.")
