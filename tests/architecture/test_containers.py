"""Dockerfile, .dockerignore, compose.yaml and the configs that containers run with fit together. No container is started."""

import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatrack.assembly import Assembly, assemble
from chatrack.errors import ConfigError
from chatrack.settings import variables_of
from tests.architecture.test_docs import ROOT
from tests.support.commands import mistake_of, run

SECRET = "s3cret" * 8
CONFIGS = {
    "config.docker.toml": {},
    "config.postgres.toml": {"DATABASE_URL": "postgresql://chatrack@postgres/chatrack"},
}
DOCKERFILE = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
CHATRACK = COMPOSE["services"]["chatrack"]


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def sources() -> list[str]:
    """Return the files and folders that the image is built of."""
    return [source for copy in instructions("COPY") for source in copy.split()[:-1]]


@pytest.fixture
def assembled(tmp_path: Path) -> Callable[[str], Assembly]:
    """Assemble a config in a folder of its own, where no `.env` is."""

    def assemble_copy(config: str, secret: str = SECRET) -> Assembly:
        path = tmp_path / "config.toml"
        path.write_text((ROOT / config).read_text())
        return assemble(path, environ={"JWT_SECRET": secret, **CONFIGS[config]})

    return assemble_copy


def variables(config: str, assembly: Assembly) -> set[str]:
    """Return the variables that a config reads, and those of the keys that it leaves out."""
    named = set(re.findall(r'env = "(\w+)"', re.sub(r"#.*", "", (ROOT / config).read_text())))
    loaded = [plugin for plugin in assembly.plugins.loaded if plugin.name.endswith("_provider")]
    return named | {
        name
        for plugin in loaded
        for setting, name in variables_of(type(plugin.settings)).items()
        if setting == "api_key"
    }


def used_in(value: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)", value))


@pytest.mark.parametrize("config", CONFIGS)
def test_the_configs_of_containers_ask_for_tokens_and_listen_on_all_addresses(config, assembled):
    assembly = assembled(config)
    assert [type(authenticator).__name__ for authenticator in assembly.authenticators] == [
        "IssuingAuthenticator"
    ]
    assert (assembly.config.server.host, assembly.config.server.port) == ("0.0.0.0", 8000)
    assert not assembly.config.server.allow_anonymous


@pytest.mark.parametrize("secret", ["", "too short"])
@pytest.mark.parametrize("config", CONFIGS)
def test_without_a_good_secret_the_start_fails_with_one_line_about_it(config, secret, assembled, tmp_path):
    with pytest.raises(ConfigError):
        assembled(config, secret)
    environ = {"JWT_SECRET": secret, **CONFIGS[config]}
    line = mistake_of(run("serve", "--config", str(tmp_path / "config.toml"), env=environ))
    assert "plugins.jwt_auth" in line
    assert ("JWT_SECRET" if not secret else "32 bytes") in line


def test_the_image_keeps_the_data_of_its_config_in_its_volume(assembled):
    assembly = assembled("config.docker.toml")
    [database] = [plugin.settings.path for plugin in assembly.plugins.loaded if plugin.name == "sqlite_store"]
    assert Path("/app") / database.relative_to(assembly.config.source.folder) == Path("/app/data/chatrack.db")
    assert instructions("WORKDIR")[-1] == "/app"
    assert instructions("VOLUME") == ["/app/data"]
    assert "config.docker.toml config.toml" in instructions("COPY")
    assert instructions("EXPOSE") == ["8000"]
    assert instructions("USER") == ["chatrack"]


def test_what_the_image_is_built_of_exists_and_reaches_the_engine():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "**"
    included = {line[1:] for line in ignored if line.startswith("!")}
    assert set(sources()) == included
    assert all((ROOT / source).exists() for source in sources())
    assert not any(fnmatch(".env", name) for name in included)


def test_compose_publishes_the_port_and_mounts_files_that_exist():
    assert CHATRACK["ports"] == ["8000:8000"]
    for name, service in COMPOSE["services"].items():
        assert "network_mode" not in service, name
        for mount in service["volumes"]:
            source = mount.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file(), mount
            else:
                assert source in COMPOSE["volumes"], mount
    assert "./config.postgres.toml:/app/config.toml:ro" in CHATRACK["volumes"]
    assert "data:/app/data" in CHATRACK["volumes"]


def test_compose_does_not_start_without_the_secret_and_says_what_it_is():
    found = re.fullmatch(r"\$\{JWT_SECRET:\?(.+)\}", CHATRACK["environment"]["JWT_SECRET"])
    assert found
    assert "openssl rand -hex 32" in found[1]


def test_compose_passes_on_every_variable_that_its_config_reads(assembled):
    environment = CHATRACK["environment"]
    assert set(environment) == variables("config.postgres.toml", assembled("config.postgres.toml"))
    assert all(used_in(value) == {name} for name, value in environment.items())


def test_compose_reaches_the_database_by_the_name_of_its_service_and_nobody_else_does():
    assert "@postgres:5432/" in CHATRACK["environment"]["DATABASE_URL"]
    postgres = COMPOSE["services"]["postgres"]
    assert "ports" not in postgres
    user, password, name = (postgres["environment"][f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB"))
    assert f"://{user}:{password}@postgres:5432/{name}" in CHATRACK["environment"]["DATABASE_URL"]
