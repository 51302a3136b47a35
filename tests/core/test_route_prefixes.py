"""Routes of plugins under a prefix of their own."""

from pathlib import Path

import pytest

from chatrack.assembly import assemble
from chatrack.chat.server import ChatrackServer
from chatrack.errors import PluginError
from chatrack.http import create_app
from tests.support.plugins import Site
from tests.support.serving import serving

ROUTES = """
@hookimpl
def routes(self):
    @get("/hello")
    async def hello() -> str:
        return "hello from {name}"
    return {routes}
"""


def install(site: Site, name: str, prefix: str) -> None:
    routes = f'Routes(prefix="{prefix}", handlers=[hello])'
    site.install(name, ROUTES.format(name=name, routes=routes))


def write(folder: Path, *plugins: str, path: str = "/chatkit/api") -> Path:
    config = folder / "config.toml"
    enabled = ", ".join(f'"{plugin}"' for plugin in ("sqlite_store", "demo_provider", *plugins))
    config.write_text(f'enabled = [{enabled}]\n[server]\npath = "{path}"\n[chat]\nmodel = "demo"\n')
    return config


def mistake(config: Path) -> str:
    with pytest.raises(PluginError) as raised:
        create_app(ChatrackServer(assemble(config)))
    [line] = raised.value.lines
    return line


async def test_routes_are_under_the_prefix_and_nowhere_else(tmp_path, site):
    install(site, "web", "/pages/web")
    site.install("plain", ROUTES.format(name="plain", routes="[hello]"))
    async with serving(write(tmp_path, "web", "plain")) as chat:
        assert (await chat.http.get("/pages/web/hello")).text == "hello from web"
        assert (await chat.http.get("/x/plain/hello")).text == "hello from plain"
        assert (await chat.http.get("/x/web/hello")).status_code == 404


@pytest.mark.parametrize(
    ("first", "second"), [("/web", "/web"), ("/web", "/web/more"), ("/web/more", "/web")]
)
def test_prefixes_of_two_plugins_that_overlap_are_a_mistake_that_names_both(tmp_path, site, first, second):
    install(site, "one", first)
    install(site, "two", second)
    line = mistake(write(tmp_path, "one", "two"))
    assert "plugin two (fake-two 1.0)" in line
    assert f'the prefix "{second}" overlaps with "{first}" of plugin one' in line


@pytest.mark.parametrize("prefix", ["/health", "/ready/more", "/x", "/x/two", "/api", "/api/v2"])
def test_a_prefix_at_above_or_below_a_path_of_the_core_is_a_mistake(tmp_path, site, prefix):
    install(site, "one", prefix)
    assert "overlaps with" in mistake(write(tmp_path, "one", path="/api/v2/chat"))


def test_prefixes_that_only_begin_alike_do_not_overlap(tmp_path, site):
    install(site, "one", "/healthy")
    install(site, "two", "/web")
    install(site, "three", "/website")
    create_app(ChatrackServer(assemble(write(tmp_path, "one", "two", "three"))))


@pytest.mark.parametrize("prefix", ["", "/", "web", "/web/", "/a//b", "/{user}", "/a b"])
def test_a_prefix_that_is_no_path_is_a_mistake(tmp_path, site, prefix):
    install(site, "one", prefix)
    assert f'the prefix "{prefix}" is not a path' in mistake(write(tmp_path, "one"))
