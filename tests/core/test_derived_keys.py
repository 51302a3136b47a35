"""Keys that plugins derive from `[server] secret_key`."""

import pytest

from chatrack.assembly import assemble
from chatrack.errors import StartupError

SIGNER = """
@hookimpl
def routes(self, derive_key):
    kept.append({"ticket": derive_key("ticket"), "mail": derive_key("mail"), "all": derive_key.all("ticket")})
    return []
"""
SECRETS = ["first" * 10, "second" * 10]


@pytest.fixture
def site(site):
    for name in ("one", "two"):
        site.install(name, SIGNER, head="kept = []")
    return site


@pytest.fixture
def keys(tmp_path, site):
    def derive(server: str, plugin: str = "one", **variables: str):
        path = tmp_path / "config.toml"
        path.write_text(
            'enabled = ["sqlite_store", "demo_provider", "one", "two"]\n'
            f'[server]\n{server}\n[chat]\nmodel = "demo"\n'
        )
        assemble(path, environ=variables)
        return site.imported(plugin).kept[-1]

    return derive


def test_a_key_depends_on_the_secret_the_plugin_and_the_purpose_and_on_nothing_else(keys):
    server = f'secret_key = "{SECRETS[0]}"'
    mine = keys(server)
    assert keys(server) == mine
    assert len(mine["ticket"]) == 32
    others = [mine["mail"], keys(server, "two")["ticket"], keys(f'secret_key = "{SECRETS[1]}"')["ticket"]]
    assert len({mine["ticket"], *others}) == 4


def test_the_first_of_several_secrets_signs_and_all_verify(keys):
    old = keys(f'secret_key = "{SECRETS[0]}"')["ticket"]
    rotated = keys(f'secret_key = ["{SECRETS[1]}", "{SECRETS[0]}"]')
    assert rotated["ticket"] == rotated["all"][0] != old
    assert rotated["all"][1:] == [old]


def test_a_variable_may_hold_several_secrets(keys):
    reference = 'secret_key = { env = "SECRET_KEY" }'
    assert len(keys(reference, SECRET_KEY=",".join(SECRETS))["all"]) == 2
    assert len(keys(reference, SECRET_KEY=SECRETS[0])["all"]) == 1


def test_without_a_secret_a_key_lasts_as_long_as_the_process_that_only_looks(keys, tmp_path):
    assert keys("")["ticket"] != keys("")["ticket"]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("value", ['"short"', '["", ""]', '["' + "long" * 10 + '", "short"]'])
def test_a_short_secret_is_refused_and_not_shown(keys, value):
    with pytest.raises(StartupError) as raised:
        keys(f"secret_key = {value}")
    [line] = raised.value.lines
    assert line == "config.toml: server.secret_key: a secret must have 32 bytes or more"
