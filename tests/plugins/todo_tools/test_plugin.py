"""Where the todos are stored, and what the plugin registers."""

import contextlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from chatrack import Secret, StartupError
from chatrack.plugins.loading import load
from chatrack.sql import Database, migrate
from chatrack_todo_tools import TodoToolsPlugin
from chatrack_todo_tools.tables import metadata

Settings = TodoToolsPlugin.Settings


async def test_the_migrations_make_the_tables_that_the_code_expects(database):
    def compare(connection):
        context = MigrationContext.configure(connection, opts={"version_table": "todo_tools_version"})
        return compare_metadata(context, metadata)

    assert await database.write(lambda connection: connection.run_sync(compare)) == []


async def test_migrating_again_finds_nothing_to_do(database):
    assert await migrate(TodoToolsPlugin(Settings()).migrations(database)) == ("0001", "0001")


async def test_without_a_url_the_todos_are_in_the_database_of_the_store(database):
    plugin = TodoToolsPlugin(Settings())
    assert plugin.migrations(database).database is database
    async with plugin.lifespan():
        await database.health()
    await database.health()


@pytest.mark.parametrize("hook", ["tools", "user_data", "migrations"])
async def test_without_a_url_and_without_a_database_the_mistake_is_named(hook):
    with pytest.raises(StartupError, match=r"\[plugins\.todo_tools\] url"):
        getattr(TodoToolsPlugin(Settings()), hook)(None)


async def test_a_url_gives_one_database_that_lives_as_long_as_the_server(tmp_path):
    plugin = TodoToolsPlugin(Settings(url=Secret(f"sqlite:///{tmp_path}/deep/own.db")))
    store = Database("sqlite://")
    own = plugin.migrations(store).database
    assert own is not store
    assert plugin.migrations(None).database is own
    assert len(plugin.tools(None)) == 5
    async with plugin.lifespan():
        await migrate(plugin.migrations(None))
        await own.health()
    assert (tmp_path / "deep" / "own.db").exists()
    with pytest.raises(AssertionError):
        await own.health()


async def test_its_own_database_is_closed_even_if_the_server_fails(tmp_path):
    plugin = TodoToolsPlugin(Settings(url=Secret(f"sqlite:///{tmp_path}/own.db")))
    with contextlib.suppress(RuntimeError):
        async with plugin.lifespan():
            raise RuntimeError
    with pytest.raises(AssertionError):
        await plugin.migrations(None).database.health()


@pytest.mark.parametrize("url", ["hunter2", "", "mongodb://u:hunter2@host/db"])
async def test_a_url_that_cannot_be_used_is_named_without_showing_it(url):
    with pytest.raises(StartupError) as caught:
        TodoToolsPlugin(Settings(url=Secret(url)))
    assert "plugins.todo_tools.url" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_the_agent_has_all_tools_and_is_told_who_asks():
    (spec,) = TodoToolsPlugin(Settings()).agents()
    assert (spec.name, list(spec.tools)) == ("todo", ["todo_tools.*"])
    assert "{user.name}" in spec.instructions
    assert spec.description


async def test_every_hook_is_one_that_chatrack_knows():
    class EntryPoint:
        value = "chatrack_todo_tools:TodoToolsPlugin"

        def load(self):
            return TodoToolsPlugin

    class Found:
        entry_point = EntryPoint()
        source = "chatrack-todo-tools"

    class Problems:
        lines: list[str] = []

    (loaded,) = load(["todo_tools"], {}, installed={"todo_tools": Found()}, source=None, problems=Problems)
    assert set(loaded.hooks) == {"tools", "agents", "user_data", "migrations", "lifespan"}
