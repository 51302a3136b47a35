"""A todo list over a real SQLite file, and its tools called the way the Agents SDK calls them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from agents.tool_context import ToolContext
from chatkit.types import ThreadMetadata

from chatrack import RequestContext, TurnContext, User
from chatrack.clock import now
from chatrack.sql import Database, migrate
from chatrack_todo_tools import TodoToolsPlugin

ADA = User(id="ada")

Use = Callable[..., Awaitable[Any]]


def turn_of(user: User) -> TurnContext:
    async def emit(_event: Any) -> None:
        raise AssertionError("these tools show nothing")

    thread = ThreadMetadata(id="thr_1", created_at=now())
    request = RequestContext(user=user, request_id="req_1")
    return TurnContext(request=request, thread=thread, turn_id="trn_1", emit=emit)


@pytest.fixture
async def database(tmp_path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/todos.db")
    await database.start()
    await migrate(TodoToolsPlugin(TodoToolsPlugin.Settings()).migrations(database))
    yield database
    await database.stop()


@pytest.fixture
def tools(database) -> dict[str, Any]:
    return {tool.name: tool for tool in TodoToolsPlugin(TodoToolsPlugin.Settings()).tools(database)}


@pytest.fixture
def use(tools) -> Use:
    """Call a tool; the answer is JSON where it is JSON, else the text of the error."""

    async def call(name: str, user: User = ADA, **arguments: Any) -> Any:
        raw = json.dumps(arguments)
        context = ToolContext(turn_of(user), tool_name=name, tool_call_id="call_1", tool_arguments=raw)
        answer = await tools[name].on_invoke_tool(context, raw)
        assert isinstance(answer, str)
        return answer if answer.startswith("Error") else json.loads(answer)

    return call


@pytest.fixture
def turn() -> Callable[[User], TurnContext]:
    return turn_of
