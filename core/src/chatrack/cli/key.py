"""`chatrack key`."""

import click

from chatrack.interfaces import generate_api_key, hash_api_key


def key() -> None:
    """Print a new API key, and its entry in config.toml."""
    new_key = generate_api_key()
    click.echo(f"key:  {new_key}")
    click.echo(f"hash: {hash_api_key(new_key)}")
    click.echo()
    click.echo("Give the key to its user; nobody can read it from the hash. For config.toml:")
    click.echo()
    click.echo("[plugins.api_keys_auth]")
    click.echo(f'keys = [{{ hash = "{hash_api_key(new_key)}", user = "…" }}]')
