"""The plugin `notes`, whose tools record that they ran."""

from tests.support.plugins import Site

SOURCE = '''
import asyncio

import chatrack

RAN = []


@chatrack.function_tool
async def note(text: str) -> str:
    """Note something."""
    RAN.append(("note", text))
    return f"noted {text}"


@chatrack.function_tool
async def shout(text: str) -> str:
    """Say something loudly."""
    RAN.append(("shout", text))
    return f"shouted {text}"


@chatrack.function_tool
async def recite(length: int) -> str:
    """Say very much."""
    RAN.append(("recite", length))
    return "r" * length


@chatrack.function_tool
async def nap() -> str:
    """Take long."""
    RAN.append(("nap",))
    await asyncio.sleep(600)
    return "slept"


class Plugin:
    api = 1

    @chatrack.hookimpl
    def tools(self):
        return [note, shout, recite, nap]
'''


def install(site: Site) -> None:
    """Install the plugin; `ran` returns the calls of its tools."""
    site.install_source("notes", SOURCE)


def ran(site: Site) -> list[tuple[object, ...]]:
    """Return the calls of its tools so far, each a name and the arguments."""
    module = site.imported("notes")
    assert module is not None
    calls: list[tuple[object, ...]] = module.RAN
    return calls
