"""`[plugins.gemini_provider]`: what it may say, and what is taken from the environment."""

import pytest

from chatrack.assembly import assemble
from chatrack.errors import ConfigError
from chatrack_gemini_provider.plugin import DEFAULT_MODEL

KEY = "AIza-never-to-be-seen"


@pytest.fixture
def gemini(write_config):
    """Assemble a server with the plugin."""

    def assembled(settings="", *, model="gemini", **environ):
        text = f"""
enabled = ["sqlite_store", "demo_provider", "gemini_provider"]
[chat]
model = "{model}"
[plugins.gemini_provider]
{settings}
"""
        return assemble(write_config(text), environ=environ)

    return assembled


def client_of(assembly):
    return assembly.models.providers["gemini"].client()


def test_a_key_in_the_environment_is_all_it_takes(gemini):
    assembly = gemini(GEMINI_API_KEY=KEY)
    assert assembly.default_agent.model == f"gemini/{DEFAULT_MODEL}"
    client = client_of(assembly)
    assert str(client.base_url) == "https://generativelanguage.googleapis.com/v1beta/openai/"
    assert client.api_key == KEY


def test_the_environment_may_name_the_default_model(gemini):
    assembly = gemini(GEMINI_API_KEY=KEY, GEMINI_DEFAULT_MODEL="gemini-3-pro")
    assert assembly.default_agent.model == "gemini/gemini-3-pro"


def test_settings_come_before_the_environment(gemini):
    settings = (
        'api_key = "of the settings"\nbase_url = "http://localhost:1/x/"\ndefault_model = "gemini-3.8-flash"'
    )
    assembly = gemini(settings, GEMINI_API_KEY=KEY, GEMINI_DEFAULT_MODEL="gemini-3-pro")
    assert assembly.default_agent.model == "gemini/gemini-3.8-flash"
    client = client_of(assembly)
    assert (client.api_key, str(client.base_url)) == ("of the settings", "http://localhost:1/x/")


@pytest.mark.parametrize("model", ["gemini", "gemini/gemini-3-pro"])
@pytest.mark.parametrize("environ", [{}, {"GEMINI_API_KEY": ""}])
def test_a_missing_key_is_named_with_its_setting_and_its_variable(gemini, model, environ):
    with pytest.raises(ConfigError) as caught:
        gemini(model=model, **environ)
    (line,) = caught.value.lines
    for part in (
        "config.toml",
        f'chat.model = "{model}"',
        "plugins.gemini_provider.api_key",
        "GEMINI_API_KEY",
    ):
        assert part in line


def test_no_key_is_needed_where_no_model_of_it_is_used(gemini):
    assert gemini(model="demo").default_agent.model == "demo"


def test_the_other_api_is_refused(gemini):
    with pytest.raises(ConfigError, match="plugins.gemini_provider.api"):
        gemini('api = "responses"', GEMINI_API_KEY=KEY)


def test_the_key_is_not_shown(gemini):
    assembly = gemini(f'api_key = "{KEY}"')
    provider = assembly.models.providers["gemini"]
    shown = f"{provider.endpoint!r} {provider.endpoint.settings!r} {provider.get_model(None)!r}"
    assert KEY not in shown
