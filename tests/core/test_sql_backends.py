"""SQL backends: found by the scheme of a URL among the installed ones, and written from the plugin guide alone."""

import asyncio
import re
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, select, text

from chatrack.errors import ConfigError
from chatrack.interfaces import Store
from chatrack.sql import Backend, Database, ServerBackend, SQLStore, migrate, now_millis, store_migrations
from chatrack.sql.backends import registry
from chatrack.sql.tables import usage
from chatrack.testing.turns import TurnsContract
from tests.support.commands import mistake_of, run
from tests.support.copying import Configs, configs, copy
from tests.support.databases import KINDS, new_database
from tests.support.plugins import HEAD, Site, installed_site
from tests.support.seed import contents, fill

GUIDE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
SECTION = GUIDE.partition("## A backend for another database\n")[2].partition("\n## ")[0]
GROUP = "chatrack.sql_backends"


def sample(language: str) -> str:
    """Return the sample of a language in the section of the guide."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    return found


def install_sample(site: Site) -> str:
    """Install the backend of the guide as its own pyproject.toml says; return its scheme."""
    project = tomllib.loads(sample("toml"))["project"]
    [(scheme, target)] = project["entry-points"][GROUP].items()
    module, _, name = target.partition(":")
    site.install_source(
        scheme,
        sample("python"),
        target=name,
        distribution=project["name"],
        module=module,
        version=project["version"],
        group=GROUP,
    )
    return scheme


def todo_config(tmp_path: Path, url: str) -> str:
    """Write a config whose todos have a database of their own; return its path."""
    path = tmp_path / "config.toml"
    path.write_text(
        'enabled = ["sqlite_store", "demo_provider", "todo_tools"]\n[chat]\nmodel = "demo"\n'
        f'[plugins.todo_tools]\nurl = "{url}"\n'
    )
    return str(path)


# -- found by scheme -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "dialect"),
    [
        ("sqlite", "sqlite"),
        ("sqlite+aiosqlite", "sqlite"),
        ("postgresql", "postgresql"),
        ("postgres", "postgresql"),
        ("postgresql+psycopg", "postgresql"),
        ("mysql", "mysql"),
        ("mariadb", "mysql"),
    ],
)
def test_the_scheme_of_a_url_chooses_the_backend(scheme, dialect):
    assert Database(f"{scheme}://host/name").dialect == dialect


def test_a_plugin_may_use_a_backend_whose_store_is_not_enabled(tmp_path):
    with new_database("postgresql", tmp_path) as url:
        outcome = run("check", "--config", todo_config(tmp_path, url))
        assert outcome.code == 0, outcome.err


def test_a_scheme_that_nobody_registered_is_one_plain_line_with_the_known_ones(tmp_path):
    line = mistake_of(run("check", "--config", todo_config(tmp_path, "mongodb://ada:hunter2@host/name")))
    assert "plugins.todo_tools.url: no installed backend is for mongodb:// URLs" in line
    assert "known: mariadb, mysql, postgres, postgresql, sqlite" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("scheme", "distribution"),
    [
        ("postgresql", "chatrack-postgres-store"),
        ("postgres", "chatrack-postgres-store"),
        ("mysql", "chatrack-mysql-store"),
        ("mariadb", "chatrack-mysql-store"),
    ],
)
def test_what_to_install_is_said_where_it_is_known(scheme, distribution, monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict)
    with pytest.raises(ConfigError, match=rf"url: .*{scheme}://.*install {distribution}"):
        Database(f"{scheme}://host/name", label="url")


def test_two_distributions_for_one_scheme_are_both_named_and_none_is_chosen(tmp_path, site):
    for side in ("left", "right"):
        site.install_source(
            "acme",
            sample("python"),
            target="JournalSQLite",
            distribution=f"{side}-acme",
            module=side,
            group=GROUP,
        )
    line = mistake_of(run("check", "--config", todo_config(tmp_path, "acme:///x.db")))
    assert "plugins.todo_tools.url: " in line
    assert "left-acme 1.0 and by right-acme 1.0" in line
    Database("sqlite:///x.db")  # nobody else is disturbed


@pytest.mark.parametrize("source", ["import nowhere_to_be_found", "raise SystemExit(3)", "1 / 0"])
def test_a_backend_that_cannot_be_imported_is_named_by_its_distribution(tmp_path, site, source):
    site.install_source("acme", source, target="Acme", group=GROUP)
    line = mistake_of(run("check", "--config", todo_config(tmp_path, "acme:///x.db")))
    assert "plugins.todo_tools.url: the backend for acme:// (fake-acme 1.0) cannot be imported" in line


def test_what_is_no_backend_is_refused(tmp_path, site):
    site.install_source("acme", "class Acme: pass", target="Acme", group=GROUP)
    line = mistake_of(run("check", "--config", todo_config(tmp_path, "acme:///x.db")))
    assert "(fake-acme 1.0): fake_acme:Acme is not a chatrack.sql.Backend" in line


# -- what a backend answers ----------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
async def database(request, tmp_path) -> AsyncIterator[Database]:
    with new_database(request.param, tmp_path) as url:
        database = Database(url)
        await database.start()
        yield database
        await database.stop()


async def test_the_databases_clock_is_the_present_time_in_milliseconds(database):
    async with database.read() as connection:
        clock = (await connection.execute(select(now_millis()))).scalar_one()
    assert abs(clock - time.time() * 1000) < 60_000


def test_an_upsert_is_built_once():
    database = Database("sqlite:///x.db")
    first = database.upsert(usage, key=["turn_id", "agent", "model"], update=["requests"])
    assert database.upsert(usage, key=("turn_id", "agent", "model"), update=("requests",)) is first


def test_the_identity_of_a_database_has_no_user_no_password_and_a_port():
    for url, identity in {
        "postgresql://ada:hunter2@Host/name": "postgresql:host:5432/name",
        "postgresql://127.0.0.1:5433/name?sslmode=disable": "postgresql:localhost:5433/name",
        "mysql://ada@host/name?ssl-mode=DISABLED": "mysql:host:3306/name",
    }.items():
        assert Database(url).backend.identity == identity
    assert (
        Database("postgresql://host/name", schema="chat").backend.identity == "postgresql:host:5432/name/chat"
    )


# -- a backend from the guide --------------------------------------------------------------------------


def test_the_guide_lists_every_member_of_a_backend():
    listed = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", SECTION))
    members = {name for cls in (Backend, ServerBackend) for name in vars(cls) if not name.startswith("_")}
    annotated = {name for cls in (Backend, ServerBackend) for name in cls.__annotations__ if name[0] != "_"}
    assert members | annotated <= listed


async def test_the_backend_of_the_guide_serves_a_database(tmp_path, site):
    scheme = install_sample(site)
    database = Database(URL.create(scheme, database=str(tmp_path / "a b.db")), label="the label")
    assert database.dialect == "sqlite"
    await database.start()
    try:
        await migrate(store_migrations(database))
        await database.health()
        async with database.read() as connection:
            mode = (await connection.execute(text("PRAGMA journal_mode"))).scalar_one()
        assert mode == "delete"
    finally:
        await database.stop()


async def test_the_backend_of_the_guide_says_which_setting_is_wrong(tmp_path, site):
    scheme = install_sample(site)
    database = Database(URL.create(scheme, database=str(tmp_path / "no" / "folder.db")), label="the label")
    with pytest.raises(ConfigError, match="the label: unable to open database file"):
        await database.start()


STORE = """
from pathlib import Path
from chatrack.sql import store_data, store_migrations

class JournalStorePlugin:
    api = 1

    class Settings(chatrack.Settings):
        url: str

    def __init__(self, settings):
        self.database = Database(settings.url, label="plugins.journal_store.url")

    @hookimpl
    def store(self):
        return SQLStore(self.database)

    @hookimpl
    def migrations(self):
        return store_migrations(self.database)

    @hookimpl
    def user_data(self):
        return store_data(self.database)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Configs]:
    with configs(tmp_path) as bench:
        yield bench


def test_a_store_over_the_backend_of_the_guide_is_migrated_and_copied_like_any_other(tmp_path, site, bench):
    scheme = install_sample(site)
    site.install_source("journal_store", HEAD + STORE, target="JournalStorePlugin")
    journal = tmp_path / "journal.toml"
    url = URL.create(scheme, database=str(tmp_path / "journal.db")).render_as_string()
    journal.write_text(
        'enabled = ["journal_store", "demo_provider", "todo_tools"]\n[chat]\nmodel = "demo"\n'
        f'[plugins.journal_store]\nurl = "{url}"\n'
    )
    source = bench.write("source")
    fill(source, count=12, each=2, large=False)
    for there, back in ((source, journal), (journal, bench.write("back", "postgresql"))):
        outcome = copy(there, back)
        assert outcome.code == 0, outcome.err
        assert contents(back) == contents(source)


@pytest.fixture(scope="module")
def journal_url(tmp_path_factory) -> Iterator[URL]:
    """The URL of a file with the store's tables, for the backend of the guide."""
    folder = tmp_path_factory.mktemp("guide")
    with pytest.MonkeyPatch.context() as patch, installed_site(folder / "site", patch) as site:
        url = URL.create(install_sample(site), database=str(folder / "chat.db"))
        asyncio.run(make_tables(url))
        yield url


class TestStoreOverTheBackendOfTheGuide(TurnsContract):
    """A part of the contract: the rest of it says as little about a backend, and takes minutes."""

    @pytest.fixture
    async def store(self, journal_url) -> AsyncIterator[Store]:
        store = SQLStore(Database(journal_url))
        await store.start()
        yield store
        await store.stop()


async def make_tables(url: URL) -> None:
    database = Database(url)
    await database.start()
    await migrate(store_migrations(database))
    await database.stop()
