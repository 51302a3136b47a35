"""Users among users: whatever one sends with an id of another is answered as if there were no such thing.

Request types come from ChatKit's unions, routes from the application, and tools and actions from the assembly: a new one
fails here until somebody says how it is attacked.
"""

import contextlib
import json
import re
import secrets
import time
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import chatkit.types as wire
import httpx
import jwt
import msgspec
import pytest
import pytest_asyncio
from litestar import Litestar
from pydantic import BaseModel

from chatrack import User
from chatrack.files.links import Purpose
from chatrack.http.app import create_app
from chatrack.ids import new_id
from chatrack.plugins import discover
from tests.conftest import openai_config
from tests.fake_openai import serve as serve_upstream
from tests.support.databases import KINDS, new_database, store_tables
from tests.support.plugins import installed_site
from tests.support.rows import Stored, stored
from tests.support.serving import Chat, answer_of, errors_of, message, serving
from tests.support.waiting import until_idle

share_server = pytest.mark.asyncio(loop_scope="module")
"""All tests of a database share one server."""

SECRET = "the secret of the issuer, long enough"

Owner: TypeAlias = tuple[str, str]
"""A tenant, and the id of a user."""

USERS: list[Owner] = [("acme", "ada"), ("acme", "ada2"), ("ACME", "ada2"), ("ACME", "ada")]
"""The same ids in both tenants, tenants that differ in case, and an id that begins with another one."""

PAIRS = list(pairwise([*USERS, USERS[0]]))
"""Intruders and owners: users who differ in the id alone or in the tenant alone, either way round."""

DESK = '''
from datetime import datetime

from chatkit.types import ClientToolCallItem, StructuredInputFreeform, StructuredInputItem, ThreadItemDoneEvent
from chatkit.widgets import Card, Text
from litestar import Request, delete, get
from litestar.params import FromPath

from chatrack import NotFound, ToolContext, function_tool, hookimpl
from chatrack_todo_tools.store import TodoStore


@function_tool
async def show_card(ctx: ToolContext) -> str:
    """Show a card."""
    await ctx.context.stream_widget(Card(children=[Text(value="card")]))
    return "shown"


@function_tool
async def ask_page(ctx: ToolContext) -> str:
    """Call a tool of the page."""
    call = ClientToolCallItem(
        id="tc_" + ctx.context.turn_id, thread_id="", created_at=datetime.now(), call_id=ctx.context.turn_id,
        name="read_page", arguments={},
    )
    await ctx.context.stream(ThreadItemDoneEvent(item=call))
    return "asked"


@function_tool
async def ask_user(ctx: ToolContext) -> str:
    """Ask the user."""
    item = StructuredInputItem(
        id="si_" + ctx.context.turn_id, thread_id="", created_at=datetime.now(),
        inputs=[StructuredInputFreeform(id="q1", question="Which colour?")],
    )
    await ctx.context.stream(ThreadItemDoneEvent(item=item))
    return "asked"


class Plugin:
    api = 1

    @hookimpl
    def tools(self):
        return [show_card, ask_page, ask_user]

    @hookimpl
    def actions(self, database):
        todos = TodoStore(database)

        async def finish(turn, call):
            if await todos.change(turn.user, call.payload["todo_id"], {"status": "completed"}) is None:
                raise NotFound("There is no such todo.")

        return {"desk.finish": finish}

    @hookimpl
    def routes(self, database):
        todos = TodoStore(database)

        @get("/todos/{todo_id:str}")
        async def rename(request: Request, todo_id: FromPath[str]) -> str:
            if await todos.change(request.user, todo_id, {"title": "renamed"}) is None:
                raise NotFound("There is no such todo.")
            return todo_id

        @delete("/todos/{todo_id:str}", status_code=200)
        async def remove(request: Request, todo_id: FromPath[str]) -> str:
            if await todos.delete(request.user, todo_id) is None:
                raise NotFound("There is no such todo.")
            return todo_id

        return [rename, remove]
'''

ENABLED = ["sqlite_store", "local_files", "openai_provider", "todo_tools", "jwt_auth", "session_auth", "desk"]


class Belongings(msgspec.Struct, kw_only=True):
    """Ids of what a user has: one of each kind.

    Args:
        thread: a thread with a message, its answer and a widget.
        page_thread: a thread in which the call of a client tool waits.
        question_thread: a thread in which a question waits.
        loose: an attachment that no message has.
        bound: an attachment of a message.
        kept: a file that is never deleted.
        announced: a file whose bytes are sent later.
    """

    thread: str
    message: str
    answer: str
    widget: str
    page_thread: str
    call: str
    question_thread: str
    question: str
    loose: str
    bound: str
    kept: str
    announced: str
    todo: str

    def all(self) -> set[str]:
        """Return all ids."""
        return set(msgspec.structs.asdict(self).values())


def nothing() -> Belongings:
    """Return ids of what nobody has."""
    return Belongings(
        thread=new_id("thread"),
        message=new_id("message"),
        answer=new_id("message"),
        widget=new_id("message"),
        page_thread=new_id("thread"),
        call=new_id("message"),
        question_thread=new_id("thread"),
        question=new_id("message"),
        loose=new_id("attachment"),
        bound=new_id("attachment"),
        kept=new_id("attachment"),
        announced=new_id("attachment"),
        todo=f"todo_{secrets.token_hex(16)}",
    )


Attempts = dict[str, list[dict[str, Any]]]

WITHOUT_IDS = {"attachments.create", "input.transcribe"}
"""Request types that name nothing that anybody has."""


def attempts(theirs: Belongings, mine: Belongings) -> Attempts:
    """Return the parameters of requests, by their type. Each names at least one thing of another user.

    The last ones remove things, so that all can be tried one after the other with one's own.

    Args:
        theirs: what the other user has.
        mine: what the sender has.
    """
    hello = message("hello")
    answers = {"status": "answered", "answers": {"q1": {"values": ["blue"]}}}
    action = {"type": "desk.finish", "payload": {"todo_id": mine.todo}}
    actions = [
        {"thread_id": theirs.thread, "item_id": None, "action": action},
        {"thread_id": theirs.thread, "item_id": theirs.widget, "action": action},
        {"thread_id": theirs.thread, "item_id": mine.widget, "action": action},
        {"thread_id": mine.thread, "item_id": theirs.widget, "action": action},
        {"thread_id": mine.thread, "item_id": theirs.message, "action": {"type": "desk.unknown"}},
    ]
    return {
        "threads.create": [
            {"input": message("hello", attachments=[theirs.loose])},
            {"input": message("hello", attachments=[theirs.bound])},
            {"input": message("hello", attachments=[mine.bound, theirs.loose])},
        ],
        "threads.add_user_message": [
            {"thread_id": theirs.thread, "input": hello},
            {"thread_id": theirs.thread, "input": message("")},
            {"thread_id": theirs.thread, "input": message("hello", attachments=[mine.bound])},
            {"thread_id": mine.thread, "input": message("hello", attachments=[theirs.bound])},
        ],
        "threads.add_structured_input": [
            {"thread_id": theirs.question_thread, "item_id": theirs.question, "input": answers},
            {"thread_id": theirs.question_thread, "item_id": mine.question, "input": answers},
            {"thread_id": mine.question_thread, "item_id": theirs.question, "input": answers},
            {"thread_id": mine.thread, "item_id": theirs.message, "input": answers},
        ],
        "threads.add_client_tool_output": [
            {"thread_id": theirs.page_thread, "result": {"title": "stolen"}},
        ],
        "threads.custom_action": actions,
        "threads.sync_custom_action": actions,
        "threads.get_by_id": [{"thread_id": theirs.thread}],
        "threads.list": [
            {"after": theirs.thread},
            {"after": theirs.question_thread, "order": "asc", "limit": 1},
        ],
        "items.list": [
            {"thread_id": theirs.thread},
            {"thread_id": theirs.thread, "limit": 0},
            {"thread_id": theirs.thread, "after": theirs.message},
            {"thread_id": theirs.thread, "after": mine.message},
            {"thread_id": mine.thread, "after": theirs.message},
            {"thread_id": mine.thread, "after": theirs.message, "order": "asc"},
        ],
        "items.feedback": [
            {"thread_id": theirs.thread, "item_ids": [theirs.answer], "kind": "positive"},
            {"thread_id": theirs.thread, "item_ids": [mine.answer], "kind": "positive"},
            {"thread_id": theirs.thread, "item_ids": [], "kind": "positive"},
            {"thread_id": mine.thread, "item_ids": [theirs.answer], "kind": "positive"},
            {"thread_id": mine.thread, "item_ids": [mine.answer, theirs.answer], "kind": "negative"},
            {"thread_id": mine.thread, "item_ids": [theirs.answer, mine.answer], "kind": "negative"},
        ],
        "threads.update": [
            {"thread_id": theirs.thread, "title": "stolen"},
            {"thread_id": theirs.thread, "title": ""},
        ],
        "attachments.delete": [
            {"attachment_id": theirs.loose},
            {"attachment_id": theirs.bound},
        ],
        "threads.retry_after_item": [
            {"thread_id": mine.thread, "item_id": theirs.answer},
            {"thread_id": theirs.thread, "item_id": theirs.message},
            {"thread_id": theirs.thread, "item_id": mine.message},
            {"thread_id": mine.thread, "item_id": theirs.message},
        ],
        "threads.delete": [{"thread_id": theirs.thread}],
    }  # fmt: skip


Sign = Callable[[Purpose, str], str]
"""Returns the URL of a file that is signed for the sender."""

ROUTES: dict[tuple[str, str], Callable[[Belongings, Sign], str] | None] = {
    ("POST", "/chatkit/api"): None,  # its requests are those of ChatKit
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
    ("POST", "/auth/session"): None,
    ("DELETE", "/auth/session"): None,
    ("GET", "/x/desk/todos/{todo_id:str}"): lambda theirs, _: f"/x/desk/todos/{theirs.todo}",
    ("DELETE", "/x/desk/todos/{todo_id:str}"): lambda theirs, _: f"/x/desk/todos/{theirs.todo}",
    ("POST", "/chatkit/api/upload"): None,
    ("PUT", "/chatkit/api/upload/{file_id:str}"): lambda theirs, sign: sign("upload", theirs.announced),
    ("POST", "/chatkit/api/upload/{file_id:str}"): lambda theirs, sign: sign("upload", theirs.announced),
    ("GET", "/chatkit/api/files/{file_id:str}"): lambda theirs, sign: sign("files", theirs.kept),
    ("HEAD", "/chatkit/api/files/{file_id:str}"): lambda theirs, sign: sign("files", theirs.kept),
}
"""Every route, and the path with an id of another user; None if the path has no id."""

SIGNED = {route for route in ROUTES if "{file_id:" in route[1]}
"""Routes whose URLs are signed: they are the credential."""

PUBLIC = {("GET", "/health"), ("GET", "/ready"), ("DELETE", "/auth/session"), *SIGNED}
"""Routes without authentication. Those who end a session give up their own cookie, and no more."""

TOOLS: dict[str, Callable[[str], dict[str, Any]]] = {
    "todo_tools.update_todo": lambda todo: {"todo_id": todo, "title": "stolen"},
    "todo_tools.complete_todo": lambda todo: {"todo_id": todo},
    "todo_tools.delete_todo": lambda todo: {"todo_id": todo},
}
"""Every tool that takes an id, with the arguments that name a todo of another user."""

ACTIONS: dict[str, Callable[[str], dict[str, Any]]] = {"desk.finish": lambda todo: {"todo_id": todo}}
"""Every action, with the payload that names a todo of another user."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of database."""
    return str(request.param)


@pytest.fixture(scope="module")
def store_url(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database of that kind."""
    with new_database(kind, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kind: str, store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chat]:
    """A server with every shipped plugin that has tools, actions or routes; the client has no token."""
    folder = tmp_path_factory.mktemp("served")
    config = folder / "config.toml"
    with pytest.MonkeyPatch.context() as patch, installed_site(folder / "site", patch) as site:
        site.install_source("desk", DESK)
        async with serve_upstream() as upstream:
            config.write_text(
                openai_config(
                    upstream.url,
                    kind=kind,
                    store=store_tables(kind, store_url),
                    enabled=json.dumps(ENABLED),
                    tools='["todo_tools.*", "desk.*"]',
                    extra=f'[plugins.jwt_auth]\nsecret = "{SECRET}"\ntenant_claim = "org"\n',
                ),
                encoding="utf-8",
            )
            async with serving(config) as chat:
                yield chat


@contextlib.asynccontextmanager
async def client_of(user: Owner, served: Chat) -> AsyncIterator[Chat]:
    """A client of a user."""
    tenant, name = user
    claims = {"sub": name, "org": tenant, "exp": time.time() + 3600}
    headers = {"authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}
    async with httpx.AsyncClient(
        base_url=served.http.base_url, headers=headers, timeout=60, trust_env=False, verify=False
    ) as http:
        yield Chat(http, served.path, served.server)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chats(served: Chat) -> AsyncIterator[dict[Owner, Chat]]:
    """A client of each user."""
    async with contextlib.AsyncExitStack() as stack:
        yield {user: await stack.enter_async_context(client_of(user, served)) for user in USERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def belongings(chats: dict[Owner, Chat]) -> dict[Owner, Belongings]:
    """What each user has, all of it made through the server, as far as clients can. All tests leave it there."""
    return {user: await settle_in(chat, user) for user, chat in chats.items()}


async def settle_in(chat: Chat, user: Owner) -> Belongings:
    async def upload() -> str:
        sent = {"file": ("list.txt", b"mine", "text/plain")}
        return str((await chat.http.post(f"{chat.path}/upload", files=sent)).json()["id"])

    loose, bound, kept = [await upload() for _ in range(3)]
    announced = await chat.get("attachments.create", name="later.txt", size=4, mime_type="text/plain")
    given = message("echo: mine", attachments=[bound])
    events = await chat.events("threads.create", input=given)
    thread = events[0]["thread"]["id"]
    await chat.say(thread, "call show_card {}")
    page_thread, _ = await chat.create("call ask_page {}")
    question_thread, _ = await chat.create("call ask_user {}")
    _, events = await chat.create('call create_todo {"title": "mine"}')
    todo = re.search(r"todo_[0-9a-f]+", answer_of(events))
    assert todo is not None

    async def find(thread_id: str, kind: str) -> str:
        return next(item["id"] for item in await chat.items(thread_id) if item["type"] == kind)

    found = Belongings(
        thread=thread,
        message=await find(thread, "user_message"),
        answer=await find(thread, "assistant_message"),
        widget=await find(thread, "widget"),
        page_thread=page_thread,
        call=await find(page_thread, "client_tool_call"),
        question_thread=question_thread,
        question=await find(question_thread, "structured_input"),
        loose=loose,
        bound=bound,
        kept=kept,
        announced=announced["id"],
        todo=todo[0],
    )
    await chat.get("items.feedback", thread_id=thread, item_ids=[found.message], kind="positive")
    return found


async def rows(chat: Chat, *, besides: Owner | None = None) -> Stored:
    """Return the rows of all tables, but for those of one user."""
    return await stored(chat.server.assembly.migrations, besides=besides)


def sign(chat: Chat, user: Owner) -> Sign:
    """Return a function that signs URLs of files for a user."""
    files = chat.server.assembly.files
    return lambda purpose, file_id: files.links.url(purpose, file_id, User(id=user[1], tenant_id=user[0]))


async def ask(chat: Chat, method: str, url: str) -> httpx.Response:
    """Send a request to a route, with bytes if it takes any."""
    return await chat.http.request(method, url, content=b"mine" if method in {"PUT", "POST"} else None)


def without_id_of_request(response: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return all that a response says but for what is its own: the request's id and the date."""
    headers = {
        name: value for name, value in response.headers.items() if name not in {"x-request-id", "date"}
    }
    body = response.json() if response.content else {"request_id": response.headers["x-request-id"]}
    assert body.pop("request_id") == response.headers["x-request-id"]
    return response.status_code, headers, body


def request_classes() -> dict[str, type[BaseModel]]:
    """Return the classes of all requests that the SDK knows, by type."""
    return {
        cls.model_fields["type"].default: cls
        for union in (wire.StreamingReq, wire.NonStreamingReq)
        for cls in typing.get_args(union)
    }


def id_fields(cls: type[BaseModel], path: str = "") -> set[str]:
    """Return the fields of a request that hold ids, also those of nested tables."""
    found = set()
    cls.model_rebuild(force=True, _types_namespace=vars(wire))
    for name, field in cls.model_fields.items():
        hint = field.annotation
        if name.endswith(("_id", "_ids")) or name in {"after", "before", "attachments"}:
            found.add(f"{path}{name}")
        for part in (hint, *typing.get_args(hint)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= id_fields(part, f"{path}{name}.")
    return found


def fields_with(value: Any, ids: set[str], path: str = "") -> set[str]:
    """Return the fields of a request that hold one of these ids."""
    if isinstance(value, dict):
        nested = (fields_with(part, ids, f"{path}.{name}" if path else name) for name, part in value.items())
        return set[str]().union(*nested)
    if isinstance(value, list):
        return set[str]().union(*(fields_with(part, ids, path) for part in value))
    return {path} if value in ids else set()


def routes_of(chat: Chat) -> dict[tuple[str, str], Any]:
    """Return the handlers of the application's routes, by method and path."""
    app: Any = create_app(chat.server)
    assert isinstance(app.app, Litestar)
    return {
        (method, route.path): handler
        for route in app.app.routes
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    }


def test_every_request_type_and_every_id_in_it_is_attacked():
    classes = request_classes()
    theirs, mine = nothing(), nothing()
    tried = attempts(theirs, mine)
    assert set(tried) | WITHOUT_IDS == set(classes)
    for kind, cls in classes.items():
        expected = {field.removeprefix("params.") for field in id_fields(cls)}
        reached = [fields_with(params, theirs.all()) for params in tried.get(kind, [])]
        assert all(reached), f"{kind}: an attempt names nothing of the other user"
        assert expected <= set[str]().union(*reached), kind
        assert (kind in WITHOUT_IDS) == (not expected), kind


@share_server
async def test_every_plugin_route_tool_and_action_is_attacked(served):
    for name, installed in discover().items():
        hooks = [
            hook for hook in ("tools", "actions", "routes") if hasattr(installed.entry_point.load(), hook)
        ]
        assert name in ENABLED or not hooks, f"{name} has {hooks}"
    assert set(routes_of(served)) == set(ROUTES)
    assert all((ROUTES[route] is not None) == ("{" in route[1]) for route in ROUTES)
    tools = served.server.assembly.tools
    with_ids = {
        address
        for address, tool in tools.items()
        if any(name.endswith(("id", "ids")) for name in tool.params_json_schema["properties"])
    }
    assert with_ids == set(TOOLS)
    assert set(served.server.assembly.actions) == set(ACTIONS)


@share_server
async def test_what_is_another_users_is_answered_like_what_does_not_exist(chats, belongings):
    before = await rows(next(iter(chats.values())))
    for intruder, owner in PAIRS:
        chat, mine = chats[intruder], belongings[intruder]
        real, missing = attempts(belongings[owner], mine), attempts(nothing(), mine)
        for kind in real:
            for params, others in zip(real[kind], missing[kind], strict=True):
                answer = without_id_of_request(await chat.call(kind, **params))
                assert answer[0] == 404, (intruder, owner, kind, params, answer)
                assert answer == without_id_of_request(await chat.call(kind, **others)), (kind, params)
        for (method, path), url in ROUTES.items():
            if url is None:
                continue
            answer = without_id_of_request(
                await ask(chat, method, url(belongings[owner], sign(chat, intruder)))
            )
            assert answer[0] == 404, (intruder, owner, method, path, answer)
            other = await ask(chat, method, url(nothing(), sign(chat, intruder)))
            assert answer == without_id_of_request(other)
    await until_idle(chat)
    assert await rows(chat) == before


@share_server
async def test_lists_have_only_what_is_ones_own(chats, belongings):
    for user, chat in chats.items():
        listed = (await chat.get("threads.list", limit=100))["data"]
        own = belongings[user]
        assert {own.thread, own.page_thread, own.question_thread} <= {thread["id"] for thread in listed}
        others = set[str]().union(*(belongings[other].all() for other in USERS if other != user))
        assert not any(other in json.dumps(listed) for other in others)
        thread, _ = await chat.create("call list_todos {}")
        answer = (await chat.answers(thread))[-1]
        assert re.findall(r"todo_[0-9a-f]+", answer) == [own.todo]


@share_server
async def test_an_id_of_another_user_in_a_payload_or_an_argument_changes_nothing(chats, belongings):
    for intruder, owner in PAIRS:
        chat, mine = chats[intruder], belongings[intruder]
        before = await rows(chat, besides=intruder)

        answers = []
        for todo in (belongings[owner].todo, nothing().todo):
            # All tools in one turn.
            calls = [
                f"call {address.rpartition('.')[2]} {json.dumps(arguments(todo))}"
                for address, arguments in TOOLS.items()
            ]
            answer = answer_of(await chat.say(mine.thread, "\n".join(calls)))
            assert answer.count("there is no todo") == answer.count(todo) == len(TOOLS), answer
            answers.append(answer.replace(todo, "TODO"))
        assert answers[0] == answers[1]
        for action_type, payload in ACTIONS.items():
            events, answers = [], []
            for todo in (belongings[owner].todo, nothing().todo):
                params = {
                    "thread_id": mine.thread,
                    "item_id": mine.widget,
                    "action": {"type": action_type, "payload": payload(todo)},
                }
                events.append(errors_of(await chat.events("threads.custom_action", **params)))
                answers.append(without_id_of_request(await chat.call("threads.sync_custom_action", **params)))
            assert len(events[0]) == 1
            assert events[0] == events[1]
            assert answers[0] == answers[1]
            assert answers[0][0] == 404
        await until_idle(chat)
        assert await rows(chat, besides=intruder) == before


@share_server
async def test_the_owner_reaches_with_the_same_requests_what_others_do_not(served):
    # Otherwise the attempts would show nothing: they might be refused for another reason.
    owner = ("acme", "owner")
    async with client_of(owner, served) as chat:
        await reach_all(chat, await settle_in(chat, owner), owner)


async def reach_all(chat: Chat, own: Belongings, owner: Owner) -> None:
    for address, arguments in TOOLS.items():
        if address != "todo_tools.delete_todo":
            call = f"call {address.rpartition('.')[2]} {json.dumps(arguments(own.todo))}"
            assert "there is no todo" not in answer_of(await chat.say(own.thread, call))
    for kind, tried in attempts(own, own).items():
        for params in tried:
            if kind.startswith("threads.") and own.bound in json.dumps(params):
                continue  # an attachment of another thread does not exist for its owner either
            response = await chat.call(kind, **params)
            assert response.status_code != 404, (kind, params, response.text)
    for (method, _), url in ROUTES.items():
        if url is not None:
            assert (await ask(chat, method, url(own, sign(chat, owner)))).status_code == 200
    await until_idle(chat)


@share_server
async def test_without_valid_credentials_every_route_that_is_not_public_gives_401(served):
    claims = {"sub": "ada", "org": "acme", "exp": time.time() + 3600}
    bad = [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {jwt.encode(claims, 'another secret of thirty-two bytes', 'HS256')}"},
        {"authorization": f"Bearer {jwt.encode({**claims, 'exp': 1}, SECRET, 'HS256')}"},
        {"cookie": "chatrack_session=forged"},
    ]
    found = routes_of(served)
    assert {route for route, handler in found.items() if handler.opt.get("public")} == PUBLIC
    for method, path in found.keys() - PUBLIC:
        url = re.sub(r"\{[^}]*\}", "anything", path)
        for headers in bad:
            response = await served.http.request(method, url, headers=headers, json={"type": "threads.list"})
            assert response.status_code == 401, (method, path, headers)
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["detail"] == "The request has no valid credentials."
    for kind in request_classes():
        assert (await served.call(kind)).status_code == 401
