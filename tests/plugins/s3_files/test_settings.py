"""`[plugins.s3_files]`: what it may say, and what is a mistake."""

import pytest

from chatrack.assembly import assemble
from chatrack.errors import ConfigError
from chatrack_s3_files import S3Files

SECRET = "s3cr3t-never-to-be-seen"

KEYS = f'access_key = "AKIA"\nsecret_key = "{SECRET}"'


@pytest.fixture
def configured(write_config):
    """Assemble a server with the plugin."""

    def assembled(settings, **environ):
        text = f"""
enabled = ["sqlite_store", "demo_provider", "s3_files"]
[chat]
model = "demo"
[plugins.s3_files]
{settings}
"""
        return assemble(write_config(text), environ=environ)

    return assembled


def test_a_bucket_is_all_it_takes(configured):
    assert isinstance(configured('bucket = "files"').file_store.value, S3Files)


def test_everything_may_come_from_the_environment(configured):
    settings = "\n".join(
        f'{name} = {{ env = "{name.upper()}" }}' for name in ("bucket", "access_key", "secret_key")
    )
    assembly = configured(settings, BUCKET="files", ACCESS_KEY="AKIA", SECRET_KEY=SECRET)
    assert assembly.file_store.plugin == "s3_files"


@pytest.mark.parametrize(
    ("settings", "key", "part"),
    [
        ("", "bucket", "required"),
        ('bucket = { env = "NO_SUCH_VARIABLE" }', "bucket", "NO_SUCH_VARIABLE"),
        ('bucket = ""', "bucket", ""),
        ('access_key = "AKIA"', "secret_key", "access_key"),
        (f'secret_key = "{SECRET}"', "access_key", "secret_key"),
        (KEYS + '\nendpoint_url = "s3.example.com"', "endpoint_url", "https://"),
        (KEYS + '\nendpoint_url = "https://:99999999"', "endpoint_url", "https://"),
        (f'endpoint_url = "https://user:{SECRET}@s3.example.com"', "endpoint_url", "password"),
        (f'public_endpoint_url = "https://s3.example.com?key={SECRET}"', "public_endpoint_url", "path"),
        ('prefix = "../others"', "prefix", "letters"),
        ('prefix = "/files"', "prefix", "letters"),
        ('prefix = "a b"', "prefix", "letters"),
        ("regoin = 1", "regoin", "region"),
    ],
)
def test_a_mistake_is_one_plain_line(configured, settings, key, part):
    bucket = "" if "bucket" in settings or key == "bucket" else 'bucket = "files"\n'
    with pytest.raises(ConfigError) as caught:
        configured(bucket + settings)
    [line] = caught.value.lines
    assert f"config.toml: plugins.s3_files.{key}: " in line
    assert part in line
    assert SECRET not in line


def test_secrets_are_not_shown(configured):
    store = configured(f'bucket = "files"\n{KEYS}').file_store.value
    shown = f"{store!r} {vars(store)!r} {store.objects!r} {store.objects.config!r}"
    assert SECRET not in shown
