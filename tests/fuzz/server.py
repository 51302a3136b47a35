"""The server that is fuzzed: two users with tokens, the demo model, and a plugin for what the shipped ones have not."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.process import Server, install, processes
from tests.support.tokens import SECRET

STAGE = '''
from datetime import datetime

from chatkit.types import (
    ClientToolCallItem, StructuredInputFreeform, StructuredInputItem, StructuredInputMultipleChoice, ThreadItemDoneEvent,
)
from chatkit.widgets import Button, Card, Text

import chatrack
from chatrack import ToolContext, function_tool, hookimpl


async def echo(context, call):
    return None


@function_tool
async def read_screen(ctx: ToolContext) -> str:
    """Ask the page what it shows."""
    turn = ctx.context
    call = ClientToolCallItem(
        id="tc_" + turn.turn_id, thread_id="", created_at=datetime.now(), call_id="call_" + turn.turn_id,
        name="screen", arguments={"part": "all"},
    )
    await turn.stream(ThreadItemDoneEvent(item=call))
    return "asked"


@function_tool
async def ask_user(ctx: ToolContext) -> str:
    """Ask the user."""
    inputs = [
        StructuredInputFreeform(id="q1", question="Which colour?"),
        StructuredInputMultipleChoice(id="q2", question="How many?", options=[], multiple=True),
    ]
    item = StructuredInputItem(
        id="si_" + ctx.context.turn_id, thread_id="", created_at=datetime.now(), inputs=inputs
    )
    await ctx.context.stream(ThreadItemDoneEvent(item=item))
    return "asked"


@function_tool
async def show_card(ctx: ToolContext, text: str) -> str:
    """Show a card."""
    await ctx.context.stream_widget(Card(children=[Text(value=text)]))
    return "shown"


class Plugin:
    api = 1

    @hookimpl
    def tools(self):
        return [read_screen, ask_user, show_card]

    @hookimpl
    def actions(self):
        return {"stage.echo": echo}
'''

CONFIG = f"""
enabled = ["jwt_auth", "sqlite_store", "demo_provider", "todo_tools", "stage"]
[server]
cors_origins = ["https://app.example.com"]
[chat]
agent = "helper"
model = "demo"
selectable_models = ["demo"]
link_hosts = ["example.com"]
busy_wait = 0
[agents.helper]
instructions = "You help {{user.name}}, in {{locale}}."
tools = ["todo_tools.*", "stage.*"]
[plugins.sqlite_store]
path = "chat.db"
[plugins.demo_provider]
delay = 0
[plugins.jwt_auth]
secret = "{SECRET}"
"""


@contextlib.contextmanager
def fuzzed_server(folder: Path, *, fresh: bool) -> Iterator[Server]:
    """Start the server in a process of its own; kill it in the end.

    Args:
        folder: for its config, its database and its log.
        fresh: whether it is started by running the installed script itself.
    """
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    environ = install(folder / "plugins", "stage", STAGE)
    with processes(folder) as started:
        started.fresh = fresh
        yield asyncio.run(started.serve(folder / "config.toml", environ=environ))
