"""`[plugins.azure_files]`: what it may say, and what is a mistake."""

import base64

import pytest

from chatrack.assembly import assemble
from chatrack.errors import ConfigError
from chatrack_azure_files import AzureFiles
from chatrack_azure_files.account import parse_connection_string

KEY = base64.b64encode(b"never-to-be-seen").decode()

CONNECTION = (
    f"DefaultEndpointsProtocol=https;AccountName=mine;AccountKey={KEY};EndpointSuffix=core.windows.net"
)


@pytest.fixture
def configured(write_config):
    """Assemble a server with the plugin."""

    def assembled(settings, **environ):
        text = f"""
enabled = ["sqlite_store", "demo_provider", "azure_files"]
[chat]
model = "demo"
[plugins.azure_files]
{settings}
"""
        return assemble(write_config(text), environ=environ)

    return assembled


@pytest.mark.parametrize(
    "settings",
    [
        f'connection_string = "{CONNECTION}"',
        f'account_name = "mine"\naccount_key = "{KEY}"',
        f'account_name = "mine"\naccount_key = "{KEY}"\nendpoint_url = "https://files.example.com"',
    ],
)
def test_an_account_and_a_container_are_all_it_takes(configured, settings):
    assembly = configured(f'container = "files"\n{settings}')
    assert assembly.file_store.plugin == "azure_files"
    assert isinstance(assembly.file_store.value, AzureFiles)


def test_everything_may_come_from_the_environment(configured):
    settings = 'container = { env = "CONTAINER" }\nconnection_string = { env = "CONNECTION" }'
    assert configured(settings, CONTAINER="files", CONNECTION=CONNECTION).file_store


@pytest.mark.parametrize(
    ("settings", "key", "part"),
    [
        (f'connection_string = "{CONNECTION}"', "container", "required"),
        ('container = "files"', "connection_string", "account_key"),
        ('container = "files"\naccount_name = "mine"', "account_key", "required"),
        (f'container = "files"\naccount_key = "{KEY}"', "connection_string", "account_name"),
        (
            f'container = "files"\naccount_name = "mine"\nconnection_string = "{CONNECTION}"',
            "connection_string",
            "one or the other",
        ),
        (f'container = "files"\naccount_name = "mine"\naccount_key = "{KEY}x"', "account_key", "Base64"),
        (f'container = "files"\naccount_name = "Not One"\naccount_key = "{KEY}"', "account_name", ""),
        (f'container = "files"\nconnection_string = "{KEY}"', "connection_string", "AccountName"),
        (f'container = "files"\nconnection_string = "{KEY.strip("=")}"', "connection_string", "Name=value"),
        ('container = "files"\nconnection_string = "AccountName=mine"', "connection_string", "AccountKey"),
        (
            f'container = "files"\nconnection_string = "{CONNECTION};BlobEndpoint=nowhere"',
            "connection_string",
            "endpoint",
        ),
        (
            'container = "files"\nconnection_string = "BlobEndpoint=https://x;SharedAccessSignature=sv"',
            "connection_string",
            "shared access signature",
        ),
        (
            f'container = "files"\nconnection_string = "{CONNECTION}"\nendpoint_url = "https://u:{KEY}@host"',
            "endpoint_url",
            "password",
        ),
        (f'container = "files"\nconnection_string = "{CONNECTION}"\nprefix = "../x"', "prefix", "letters"),
    ],
)
def test_a_mistake_is_one_plain_line(configured, settings, key, part):
    with pytest.raises(ConfigError) as caught:
        configured(settings)
    [line] = caught.value.lines
    assert f"config.toml: plugins.azure_files.{key}: " in line
    assert part in line
    assert KEY.strip("=") not in line


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (CONNECTION, "https://mine.blob.core.windows.net"),
        (f"accountname=mine; AccountKey={KEY};", "https://mine.blob.core.windows.net"),
        (
            CONNECTION.replace("https", "http").replace("windows.net", "chinacloudapi.cn"),
            "http://mine.blob.core.chinacloudapi.cn",
        ),
        (f"{CONNECTION};BlobEndpoint=http://127.0.0.1:10000/mine", "http://127.0.0.1:10000/mine"),
    ],
)
def test_a_connection_string_names_the_account_its_key_and_its_endpoint(text, endpoint):
    account = parse_connection_string(text)
    assert (account.name, account.key.reveal(), account.endpoint) == ("mine", KEY, endpoint)


def test_secrets_are_not_shown(configured):
    store = configured(f'container = "files"\nconnection_string = "{CONNECTION}"').file_store.value
    shown = f"{store!r} {vars(store)!r} {store.objects!r} {store.objects.config!r}"
    assert KEY.strip("=") not in shown
