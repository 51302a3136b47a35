"""A todo list over a database of each kind, and its tools, called as the Agents SDK calls them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from agents.tool_context import ToolContext
from chatkit.types import ThreadMetadata
from sqlalchemy import delete

from chatrack import RequestContext, TurnContext, User
from chatrack.clock import now
from chatrack.sql import Database, Pool, migrate
from chatrack_todo_tools import TodoToolsPlugin
from chatrack_todo_tools.tables import todos
from tests.support.databases import KINDS, new_database

ADA = User(id="ada")

Use = Callable[..., Awaitable[Any]]


def turn_of(user: User) -> TurnContext:
    async def emit(_event: Any) -> None:
        raise AssertionError("these tools show nothing")

    thread = ThreadMetadata(id="thr_1", created_at=now())
    request = RequestContext(user=user, request_id="req_1")
    return TurnContext(request=request, thread=thread, turn_id="trn_1", emit=emit)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=KINDS)
async def migrated(request, tmp_path_factory) -> AsyncIterator[str]:
    """The URL of a database with the table, created once for a hundred short tests."""
    with new_database(request.param, tmp_path_factory.mktemp("todos")) as url:
        database = Database(url)
        await database.start()
        await migrate(TodoToolsPlugin(TodoToolsPlugin.Settings()).migrations(database))
        await database.stop()
        yield url


@pytest.fixture
async def database(migrated) -> AsyncIterator[Database]:
    """A database with an empty table."""
    database = Database(migrated, pool=Pool(size=2, max_overflow=4))
    await database.start()
    await database.write(lambda connection: connection.execute(delete(todos)))
    yield database
    await database.stop()


@pytest.fixture
def tools(database) -> dict[str, Any]:
    return {tool.name: tool for tool in TodoToolsPlugin(TodoToolsPlugin.Settings()).tools(database)}


@pytest.fixture
def use(tools) -> Use:
    """Call a tool, and return its result: parsed if it is JSON, else the text of the error."""

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
