"""What code uses of libraries beyond what they offer is listed here, each part in one file, and is still there."""

import ast
import importlib
import inspect
import sys
import types

import pytest

from tests.architecture.inference import Code
from tests.architecture.source_tree import MODULES, ROOT, relative, tree_of
from tests.architecture.upstream_uses import (
    assignments,
    instance_attributes,
    overrides,
    private_uses,
    resolve,
)

MODELS = "core/src/chatrack/models"
CHAT = "core/src/chatrack/chat"
HTTP = "core/src/chatrack/http"

PRIVATE: dict[str, tuple[str, str]] = {
    # Private and undocumented parts, and parts that we set or override although nothing says that one may:
    # the one file that does, and why.
    "agents.exceptions._mark_error_to_drain_stream_events": (
        f"{MODELS}/queued_events.py",
        "an error without the mark overtakes the events that came before it",
    ),
    "chatkit.server.ChatKitServer.process": (
        f"{CHAT}/server.py",
        "chatkit's own routes requests into turns that a disconnect interrupts",
    ),
    "logging.Logger.handlers": (
        "core/src/chatrack/logs.py",
        "chatkit adds a handler of its own to its logger when LOG_LEVEL is set",
    ),
    "openai.AsyncOpenAI.chat": (f"{MODELS}/client.py", "leads to resources that send requests as they are"),
    "openai.AsyncOpenAI.responses": (f"{MODELS}/client.py", "as `chat`"),
    "openai.AsyncOpenAI.request": (f"{MODELS}/client.py", "deadlines, retries and streams of our own"),
    "openai.AsyncOpenAI._custom_headers": (
        f"{MODELS}/endpoint.py",
        "the client adds headers from a variable that is meant for OpenAI, whomever it talks to",
    ),
    "openai.AsyncOpenAI.organization": (
        f"{MODELS}/endpoint.py",
        "the client reads it from a variable that is meant for OpenAI when it is given as None",
    ),
    "openai.AsyncOpenAI.project": (f"{MODELS}/endpoint.py", "as `organization`"),
    "openai.AsyncStream.__stream__": (f"{MODELS}/stream.py", "the client's own validates every delta"),
    "openai.AsyncStream._client": (f"{MODELS}/stream.py", "a stream knows its client under no public name"),
    "openai.AsyncStream._options": (f"{MODELS}/stream.py", "a stream knows its request under no public name"),
    "openai._models.FinalRequestOptions.json_data": (
        f"{MODELS}/client.py",
        "the body of a request, which is adapted to what an endpoint accepts",
    ),
    "openai.resources.chat.AsyncChat.completions": (
        f"{MODELS}/client.py",
        "a cached property; our resource is put where the property would keep its own",
    ),
    "openai.resources.chat.AsyncCompletions.create": (
        f"{MODELS}/resources.py",
        "the client's own walks through every request to rename fields that have their names already",
    ),
    "openai.resources.responses.AsyncResponses.create": (
        f"{MODELS}/resources.py",
        "as `AsyncCompletions.create`",
    ),
    "uvicorn.Config.app": (
        f"{HTTP}/process.py",
        "the application is created in the event loop, which the config is needed to start",
    ),
    "uvicorn.Server.startup": (
        f"{HTTP}/process.py",
        "says when the server is ready; there is no hook for it",
    ),
    "uvicorn.Server.shutdown": (
        f"{HTTP}/process.py",
        "drops connections before uvicorn's timeout cancels tasks",
    ),
    "uvicorn.Server.handle_exit": (f"{HTTP}/process.py", "ends turns before connections, and exits with 0"),
    "uvicorn.Server.force_exit": (f"{HTTP}/process.py", "what uvicorn's own `handle_exit` sets"),
    "uvicorn.Server.should_exit": (f"{HTTP}/process.py", "as `force_exit`"),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_headers_complete": (
        f"{HTTP}/protocol.py",
        "ASGI has no way to drop a connection; checks of the head",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol._unset_keepalive_if_required": (
        f"{HTTP}/protocol.py",
        "what its own `data_received` does first",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.data_received": (
        f"{HTTP}/protocol.py",
        "uvicorn's own has no bounds, and reads a body as a request",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.connection_made": (
        f"{HTTP}/protocol.py",
        "the time in which a request must arrive, and the number of connections",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.connection_lost": (
        f"{HTTP}/protocol.py",
        "uvicorn tells only the last of several requests that the client is gone",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_url": (
        f"{HTTP}/protocol.py",
        "the length of a URL",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_header": (
        f"{HTTP}/protocol.py",
        "the number of headers; headers after a body do not count",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_body": (
        f"{HTTP}/protocol.py",
        "how much of a body has arrived",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_message_complete": (
        f"{HTTP}/protocol.py",
        "the end of a request, whose timer ends",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.on_response_complete": (
        f"{HTTP}/protocol.py",
        "which of several requests is being answered",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.timeout_keep_alive_handler": (
        f"{HTTP}/protocol.py",
        "closing a connection waits for a client that does not read",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.pause_writing": (
        f"{HTTP}/protocol.py",
        "as `timeout_keep_alive_handler`",
    ),
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol.resume_writing": (
        f"{HTTP}/protocol.py",
        "as `timeout_keep_alive_handler`",
    ),
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle.keep_alive": (
        f"{HTTP}/protocol.py",
        "a connection that should have been upgraded ends with its response",
    ),
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle.disconnected": (
        f"{HTTP}/protocol.py",
        "ends a request for the application, as `connection_lost` does",
    ),
}

DOCUMENTED: dict[str, str] = {
    # What libraries say may be overridden or set, and where they say so. A class stands for its methods.
    "agents.lifecycle.RunHooksBase": "its docstring: subclass and override the methods you need",
    "chatkit.agents.ThreadItemConverter": "its docstring: extend it to convert items in other ways",
    "chatkit.store.Store.generate_item_id": "its docstring",
    "chatkit.store.Store.generate_thread_id": "its docstring",
    "chatkit.types.AssistantMessageContent.annotations": "a field of an item of our own",
    "chatkit.types.AssistantMessageContent.text": "a field of an item of our own",
    "chatkit.types.Workflow.tasks": "a field of an item of our own",
    "alembic.config.Config.attributes": "its docstring: for the passing of objects to env.py",
    "httpx2.Response.extensions": "its documentation: a dictionary for what is not part of HTTP",
    "logging.Handler.close": "the documentation of logging: to be extended by what a handler has to tidy up",
    "logging.Handler.handleError": "the documentation of logging: called when a record cannot be written",
    "logging.Logger.propagate": "the documentation of logging: an attribute that may be set",
    "litestar.connection.ASGIConnection.scope": "ASGI's own dictionary; `user` and `state` in it are Litestar's",
    "sqlalchemy.Row._mapping": "its documentation: the underscore keeps it apart from columns",
    "sqlalchemy.Table.kwargs": "options of a dialect, in its documentation",
    "sqlalchemy.dialects.sqlite.aiosqlite.AsyncAdapt_aiosqlite_connection.isolation_level": (
        "the documentation of SQLAlchemy's SQLite dialects: transactions that begin explicitly"
    ),
    "sqlalchemy.sql.functions.FunctionElement.inherit_cache": "the documentation of custom SQL constructs",
    "sqlalchemy.sql.functions.FunctionElement.type": "the documentation of custom SQL constructs",
}


def loaded_classes() -> list[type]:
    classes = []
    for module in MODULES:
        if module.endswith("__main__") or ".migrations." in module:
            continue  # these do something when they are imported
        loaded = importlib.import_module(module)
        classes += [
            cls for cls in vars(loaded).values() if isinstance(cls, type) and cls.__module__ == module
        ]
    return classes


@pytest.fixture(scope="module")
def uses() -> dict[tuple[str, str], set[str]]:
    """Where each file uses which part, and how: lines, or classes that override it."""
    found: dict[tuple[str, str], set[str]] = {}
    code = Code({module: tree_of(path) for module, path in MODULES.items()})
    for module, file in code.files.items():
        for use in (*private_uses(file), *assignments(file)):
            found.setdefault((relative(MODULES[module]), use.name), set()).add(f"line {use.line}")
    packages = {module.split(".")[0] for module in MODULES}
    for cls, base, name in overrides(loaded_classes(), packages):
        where = f"{cls.__qualname__} overrides {base.__module__}.{base.__qualname__}.{name}"
        found.setdefault((relative(MODULES[cls.__module__]), name), set()).add(where)
    return found


def is_documented(file: str, name: str, where: set[str]) -> bool:
    for part in DOCUMENTED:
        owner = resolve(part)
        if isinstance(owner, type):
            if any(f".{owner.__qualname__}.{name}" in way for way in where):
                return True
        elif part.rpartition(".")[2] == name:
            return True
    return False


def test_private_parts_are_used_only_where_it_is_listed(uses):
    listed = {(file, part.rpartition(".")[2]) for part, (file, _) in PRIVATE.items()}
    assert not [
        f"{file}: `{name}` is not offered by its library ({', '.join(sorted(where))}); list it with a reason, or avoid it"
        for (file, name), where in uses.items()
        if (file, name) not in listed and not is_documented(file, name, where)
    ]


def test_every_listed_part_is_still_used(uses):
    assert not [
        f"{part}: {file} does not use it any more; take it off the list"
        for part, (file, _) in PRIVATE.items()
        if (file, part.rpartition(".")[2]) not in uses
    ]
    names = {name for _, name in uses}
    overridden = " ".join(way for where in uses.values() for way in where)
    assert not [
        f"{part}: not used any more; take it off the list"
        for part in DOCUMENTED
        if part.rpartition(".")[2] not in names and f".{part.rpartition('.')[2]}." not in overridden
    ]


@pytest.mark.parametrize("part", [*PRIVATE, *DOCUMENTED])
def test_every_listed_part_is_in_the_installed_library(part):
    resolve(part)


def test_every_listed_file_exists():
    assert not [file for file, _ in PRIVATE.values() if not (ROOT / file).is_file()]


# -- the guard itself ----------------------------------------------------------------------------------


def file_of(source: str):
    module = "chatrack_sample"
    return Code({module: ast.parse(source)}).files[module]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from openai import _models", "_models"),
        ("import openai._models", "_models"),
        ("from openai._models import BaseModel", "_models"),
        ("import openai\nopenai._client", "_client"),
        ("def f(x):\n    return x._client", "_client"),
        ("def f(x):\n    return getattr(x, '_client')", "_client"),
        ("def f(x):\n    return x._Stream__decoder", "_Stream__decoder"),
        # A name of our own does not hide that of an object of the library.
        (
            "import openai\nclass Own:\n    def __init__(self, s: openai.AsyncStream):\n        self._client = s._client",
            "_client",
        ),
        (
            "import openai\nclass Own(openai.AsyncOpenAI):\n    def f(self):\n        return self._platform",
            "_platform",
        ),
    ],
)
def test_private_names_are_found(source, name):
    assert name in {use.name for use in private_uses(file_of(source))}


@pytest.mark.parametrize(
    "source",
    [
        "class Own:\n    def __init__(self):\n        self._x = 1\n    def f(self, other: 'Own'):\n        return other._x",
        "class Own:\n    _x = 1\ndef f(own):\n    return own._x",
        "import os\nos._exit(0)",
    ],
)
def test_private_names_of_our_own_are_not_the_librarys(source):
    assert not list(private_uses(file_of(source)))


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("client.organization = None", "organization"),
        ("client.organization, other = None, None", "organization"),
        ("client.max_retries += 1", "max_retries"),
        ("del client.organization", "organization"),
        ("client.headers['x'] = 'y'", "headers"),
        ("client.headers.update(x='y')", "headers"),
        ("headers = client.headers\n    headers['x'] = 'y'", "headers"),
        ("headers = client.headers.get('x')\n    headers['x'] = 'y'", "headers"),
        ("setattr(client, 'organization', None)", "organization"),
        ("vars(client)['chat'] = None", "chat"),
        ("client.__dict__['chat'] = None", "chat"),
        ("unknown().verbosity = 1", "verbosity"),
        ("mine = Own()\n    mine.organization = None", "organization"),
    ],
)
def test_attributes_that_are_set_on_the_librarys_objects_are_found(statement, name):
    source = (
        "import openai\n"
        "class Own(openai.AsyncOpenAI):\n    retries = 0\n"
        f"def f(client: openai.AsyncOpenAI, unknown):\n    {statement}\n"
    )
    assert name in {use.name for use in assignments(file_of(source))}


@pytest.mark.parametrize(
    "statement", ["mine.retries = 1", "self.anything = 1", "values = {}\n        values['x'] = 1"]
)
def test_attributes_of_our_own_objects_are_not_the_librarys(statement):
    source = (
        "import openai\n"
        "class Own(openai.AsyncOpenAI):\n    retries = 0\n"
        f"    def f(self, mine: 'Own'):\n        {statement}\n"
    )
    assert not list(assignments(file_of(source)))


OVERRIDING = """
import agents, openai, uvicorn
class Server(uvicorn.Server):
    def startup(self): ...
    def set(self):
        self.should_exit = True
        self.own = True
class Client(openai.AsyncOpenAI):
    chat = None
class Mixin:
    def _fetch_response(self): ...
class Model(Mixin, agents.OpenAIResponsesModel):
    def get_response(self): ...
"""


def test_members_that_subclasses_override_are_found(tmp_path, monkeypatch):
    path = tmp_path / "chatrack_overriding.py"
    path.write_text(OVERRIDING)
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, path.stem, module)
    exec(compile(OVERRIDING, str(path), "exec"), vars(module))
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    found = {(cls.__name__, name) for cls, _, name in overrides(classes, {path.stem})}
    assert found == {
        ("Server", "startup"),
        ("Server", "should_exit"),
        ("Client", "chat"),
        ("Mixin", "_fetch_response"),  # and not `get_response`, which the SDK declares abstract
    }


def test_a_part_that_is_gone_is_named():
    with pytest.raises(AttributeError, match="gone"):
        resolve("openai.AsyncStream.gone")
    with pytest.raises(AttributeError, match="gone"):
        resolve("agents.exceptions._gone")
    assert "_options" in instance_attributes(resolve("openai.AsyncStream"))
