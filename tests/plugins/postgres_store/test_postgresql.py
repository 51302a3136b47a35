"""PostgreSQL only: schemas, the forms of the URL, and passwords."""

import asyncio
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from chatrack import Secret
from chatrack.sql import migrate
from chatrack_postgres_store import PostgresStorePlugin
from tests.support.cluster import new_cluster
from tests.support.commands import mistake_of, run
from tests.support.server_stores import mistake, rows_of
from tests.support.serving import serving

TABLES = """
    SELECT table_schema, count(*) FROM information_schema.tables
    WHERE table_name LIKE 'chatrack%' OR table_name LIKE 'todo_tools%' GROUP BY table_schema
"""


@pytest.fixture
async def cluster():
    with new_cluster() as cluster:
        await cluster.start()
        yield cluster


async def answers(url):
    """Connect as the plugin does."""
    plugin = PostgresStorePlugin(PostgresStorePlugin.Settings(url=Secret(url), pool_size=1))
    await plugin.database.start()
    try:
        await plugin.database.health()
    finally:
        await plugin.database.stop()


async def test_tables_are_in_the_schema_that_the_settings_name(configure, store_url):
    async with serving(configure(store_url, schema="chat")) as chat:
        thread, _ = await chat.create("add milk")
        assert await chat.answers(thread)
    [(schema, count)] = await rows_of(store_url, TABLES)
    assert schema == "chat"
    assert count >= 10
    async with serving(configure(store_url, schema="chat")) as chat:  # it is there already
        assert await chat.answers(thread)


async def test_two_schemas_of_one_database_know_nothing_of_each_other(configure, store_url):
    for schema in ("one", "two", None):
        named = {} if schema is None else {"schema": schema}
        async with serving(configure(store_url, **named)) as chat:
            assert (await chat.get("threads.list", limit=20))["data"] == []
            await chat.create(f"add {schema} to my todos")
            assert len((await chat.get("threads.list", limit=20))["data"]) == 1
    counts = await rows_of(store_url, TABLES)
    assert {schema for schema, _ in counts} == {"one", "two", "public"}
    assert len({count for _, count in counts}) == 1


async def test_a_schema_may_have_any_name_that_is_one(store_url):
    schemas = ["Mixed", "select", "user", "_" + "x" * 62]
    for schema in schemas:
        settings = PostgresStorePlugin.Settings(url=Secret(store_url), pool_size=1, schema=schema)
        plugin = PostgresStorePlugin(settings)
        await plugin.database.start()
        await migrate(plugin.migrations())
        await plugin.database.stop()
    assert {name for name, _ in await rows_of(store_url, TABLES)} == set(schemas)


@pytest.mark.parametrize("schema", ["", "a b", 'a"b', "a;b", "1a", "x" * 64, 7])
def test_a_name_that_is_none_of_a_schema_is_one_plain_line(configure, store_url, schema, kind):
    mistake(configure(store_url, schema=schema), kind=kind, key="schema")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("postgres", ""),
        ("postgresql+asyncpg", ""),
        ("postgresql+psycopg2", ""),
        ("postgres", "?sslmode=disable"),
        ("postgresql", "?sslmode=prefer&connect_timeout=3&application_name=mine"),
    ],
)
async def test_its_url_is_understood_as_people_write_it(store_url, name, query):
    await answers(store_url.replace("postgresql://", f"{name}://") + query)


def test_a_parameter_that_nobody_knows_is_one_plain_line(configure, store_url, kind):
    assert "nonsense" in mistake(configure(f"{store_url}?nonsense=1"), kind=kind)


async def test_a_password_is_percent_encoded_in_the_url(cluster):
    url = make_url(cluster.url)
    password = quote(cluster.password, safe="")
    await answers(f"postgresql://{url.username}:{password}@{url.host}:{url.port}/{url.database}")


def test_a_wrong_password_is_one_plain_line_without_it(configure, cluster, kind):
    wrong = make_url(cluster.url).set(password="hunter2").render_as_string(hide_password=False)
    assert "password authentication failed" in mistake(configure(wrong), kind=kind)


def test_a_user_who_may_not_make_tables_is_one_plain_line(configure, cluster):
    for statement in (
        "CREATE ROLE guest LOGIN PASSWORD 'hunter2'",
        "REVOKE CREATE ON SCHEMA public FROM public",
    ):
        asyncio.run(cluster.fetch(statement))
    guest = make_url(cluster.url).set(username="guest", password="hunter2")
    line = mistake_of(run("serve", "--config", str(configure(guest.render_as_string(hide_password=False)))))
    assert "plugin postgres_store" in line
    assert "permission denied for schema public" in line
    assert "hunter2" not in line
