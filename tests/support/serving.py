"""A Chatrack server in the test's event loop, on a real socket, with a ChatKit client."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from chatkit.types import ThreadStreamEvent
from pydantic import TypeAdapter

from chatrack.assembly import assemble, running
from chatrack.chat.server import ChatrackServer
from chatrack.http.app import create_app
from chatrack.http.process import bind, serving_files
from chatrack.http.protocol import protocol_of
from tests.support.waiting import LIMIT, until, until_no_tasks

EVENT: TypeAdapter[ThreadStreamEvent] = TypeAdapter(ThreadStreamEvent)


MAX_CONNECTIONS = 1000


def message(text: str, **extra: Any) -> dict[str, Any]:
    """Return the `input` of a user's message."""
    return {
        "content": [{"type": "input_text", "text": text}],
        "attachments": [],
        "inference_options": {},
        **extra,
    }


class Chat:
    """A ChatKit client of a server."""

    def __init__(self, http: httpx.AsyncClient, path: str = "/chatkit/api", server: Any = None) -> None:
        self.http = http
        self.path = path
        self.server: ChatrackServer = server
        self.process: Any = None

    async def call(self, kind: str, /, **params: Any) -> httpx.Response:
        """Send a request that does not stream, or that should be refused."""
        return await self.http.post(self.path, json={"type": kind, "params": params})

    async def get(self, kind: str, /, **params: Any) -> Any:
        """Send a request that must succeed, and return its JSON."""
        response = await self.call(kind, **params)
        assert response.status_code == 200, response.text
        return response.json()

    @contextlib.asynccontextmanager
    async def stream(self, kind: str, /, **params: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a stream of validated events. Leaving the context early hangs up."""
        request = self.http.build_request("POST", self.path, json={"type": kind, "params": params})
        response = await self.http.send(request, stream=True)
        try:
            if response.status_code != 200:
                await response.aread()
            assert response.status_code == 200, response.text
            assert response.headers["content-type"].startswith("text/event-stream")
            yield events_of(response)
        finally:
            await response.aclose()

    async def events(self, kind: str, /, **params: Any) -> list[dict[str, Any]]:
        """Send a streaming request, and return all its events."""
        async with self.stream(kind, **params) as events:
            return [event async for event in events]

    async def create(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """Begin a thread, and return its id and the events."""
        events = await self.events("threads.create", input=message(text))
        assert events[0]["type"] == "thread.created"
        return events[0]["thread"]["id"], events

    async def say(self, thread_id: str, text: str) -> list[dict[str, Any]]:
        """Send a message to a thread, and return the events."""
        return await self.events("threads.add_user_message", thread_id=thread_id, input=message(text))

    async def items(self, thread_id: str) -> list[dict[str, Any]]:
        """Return all items of a thread, oldest first."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = await self.get("items.list", thread_id=thread_id, order="asc", limit=100, after=after)
            found += page["data"]
            if not page["has_more"]:
                return found
            after = page["after"]

    async def answers(self, thread_id: str) -> list[str]:
        """Return the texts of a thread's assistant messages, oldest first."""
        return [text_of(item) for item in await self.items(thread_id) if item["type"] == "assistant_message"]


async def events_of(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a response; comments are skipped."""
    async for line in _lines_of(response):
        if not line or line.startswith(":"):
            continue
        assert line.startswith("data: "), line
        event = json.loads(line[6:])
        EVENT.validate_python(event)
        yield event


async def _lines_of(response: httpx.Response) -> AsyncIterator[str]:
    # httpx's own lines also end at U+2028 and the like, which are text here.
    rest = ""
    async for piece in response.aiter_text():
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line
    assert not rest


def text_of(item: dict[str, Any]) -> str:
    """Return the text of a message."""
    return "".join(part["text"] for part in item["content"])


def answer_of(events: list[dict[str, Any]]) -> str:
    """Return the text of the last assistant message that was done."""
    done = [
        event["item"]
        for event in events
        if event["type"] == "thread.item.done" and event["item"]["type"] == "assistant_message"
    ]
    return text_of(done[-1]) if done else ""


def is_delta(event: dict[str, Any]) -> bool:
    """Return whether an event is a text delta."""
    return event["type"] == "thread.item.updated" and event["update"]["type"].endswith("text_delta")


def errors_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the error events."""
    return [event for event in events if event["type"] == "error"]


@contextlib.asynccontextmanager
async def serving(config: Path, *, environ: dict[str, str] | None = None) -> AsyncIterator[Chat]:
    """Serve a config in this event loop; fail if tasks are left in the end."""
    before = asyncio.all_tasks()
    assembly = assemble(config, environ=environ or {})
    async with running(assembly):
        server = ChatrackServer(assembly)
        server.turns.open()
        await assembly.limits.open(assembly.config.server.workers)
        with bind("127.0.0.1", 0, file=config.name) as sock:
            async with serving_files(assembly, sock):
                uvicorn_config = uvicorn.Config(
                    create_app(server),
                    http=protocol_of(assembly.config.server, MAX_CONNECTIONS),
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    timeout_keep_alive=3600,
                )
                process = uvicorn.Server(uvicorn_config)
                task = asyncio.create_task(process._serve([sock]))
                try:
                    await until(lambda: process.started)
                    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
                    # `verify=False` saves loading certificates, which nothing here has.
                    async with httpx.AsyncClient(
                        base_url=url, timeout=LIMIT, trust_env=False, verify=False
                    ) as http:
                        chat = Chat(http, assembly.config.server.path, server)
                        chat.process = process
                        yield chat
                finally:
                    await server.turns.close()
                    process.should_exit = True
                    await task
                    await assembly.limits.close()
    await until_no_tasks(before)
