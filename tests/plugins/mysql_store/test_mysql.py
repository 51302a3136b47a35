"""MySQL and MariaDB only: the forms of the URL, and passwords."""

import secrets
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from chatrack import Secret
from chatrack_mysql_store import MySQLStorePlugin
from tests.support.commands import mistake_of, run
from tests.support.databases import execute
from tests.support.server_stores import mistake

PASSWORD = "a b@c:/d?#%e"


@pytest.fixture
def user(store_url) -> Iterator[str]:
    """Yield a user with a password and all privileges in the database."""
    name = f"chatrack_{secrets.token_hex(6)}"
    execute("mysql", f"CREATE USER '{name}'@'%' IDENTIFIED BY '{PASSWORD}'")
    execute("mysql", f"GRANT ALL ON {make_url(store_url).database}.* TO '{name}'@'%'")
    try:
        yield name
    finally:
        execute("mysql", f"DROP USER '{name}'@'%'")


async def answers(url):
    """Connect as the plugin does."""
    plugin = MySQLStorePlugin(MySQLStorePlugin.Settings(url=Secret(url), pool_size=1))
    await plugin.database.start()
    try:
        await plugin.database.health()
    finally:
        await plugin.database.stop()


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("mysql", "?charset=utf8mb4"),
        ("mariadb", ""),
        ("mysql+asyncmy", ""),
        ("mysql+pymysql", ""),
        ("mariadb+mariadbconnector", ""),
    ],
)
async def test_its_url_is_understood_as_people_write_it(store_url, name, query):
    await answers(store_url.replace("mysql://", f"{name}://") + query)


def test_a_parameter_that_nobody_knows_is_one_plain_line(configure, store_url, kind):
    assert "nonsense" in mistake(configure(f"{store_url}?nonsense=1"), kind=kind)


def test_there_are_no_schemas(configure, store_url, kind):
    assert "unknown key" in mistake(configure(store_url, schema="chat"), kind=kind, key="schema")


async def test_a_password_is_percent_encoded_in_the_url(store_url, user):
    url = make_url(store_url)
    await answers(f"mysql://{user}:{quote(PASSWORD, safe='')}@{url.host}:{url.port}/{url.database}")


def test_a_wrong_password_is_one_plain_line_without_it(configure, store_url, user, kind):
    wrong = make_url(store_url).set(username=user, password="hunter2")
    assert "Access denied" in mistake(configure(wrong.render_as_string(hide_password=False)), kind=kind)


def test_a_user_who_may_not_make_tables_is_one_plain_line(configure, store_url, user, kind):
    execute("mysql", f"REVOKE CREATE ON {make_url(store_url).database}.* FROM '{user}'@'%'")
    guest = make_url(store_url).set(username=user, password=PASSWORD)
    outcome = run("serve", "--config", str(configure(guest.render_as_string(hide_password=False))))
    line = mistake_of(outcome)
    assert "plugin mysql_store" in line
    assert "denied" in line
    assert PASSWORD not in line
