"""Imported by the process that servers fork from: serves a turn of each API, and throws it away.

A first turn makes what all later ones use: validators of events, compiled statements, the context of TLS. Hundreds of
servers would make it anew.
"""

import asyncio
import contextlib
import io
import tempfile
import threading
from pathlib import Path

from tests.fake_openai import serve
from tests.support.serving import errors_of, serving

CONFIG = """
enabled = ["sqlite_store", "openai_provider", "todo_tools"]
[chat]
model = "openai/fake"
[plugins.sqlite_store]
path = "warm-up.db"
[plugins.openai_provider]
api_key = "sk-test"
base_url = "{url}"
api = "{api}"
"""


async def _serve_a_turn(api: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with serve() as upstream, serving(_config(folder, upstream.url, api)) as chat:
            _, events = await chat.create("call list_todos {}")
            assert not errors_of(events), events


def _config(folder: str, url: str, api: str) -> Path:
    path = Path(folder, "config.toml")
    path.write_text(CONFIG.format(url=url, api=api))
    return path


for api in ("responses", "chat_completions"):
    with contextlib.redirect_stdout(io.StringIO()):  # what it logs
        asyncio.run(_serve_a_turn(api))
assert threading.active_count() == 1, threading.enumerate()  # a fork has none but the one that forks
