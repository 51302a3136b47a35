"""`chatrack token`."""

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from chatrack.assembly import assemble
from chatrack.errors import ConfigError, StartupError
from chatrack.interfaces import MAX_ID, TokenIssuer, User, is_id


def token(path: Path, *, user: str, tenant: str, roles: Sequence[str], hours: float) -> None:
    """Print a token for development, issued by an enabled authenticator.

    Args:
        path: the config file.
        user: the user's id.
        tenant: the user's tenant.
        roles: the user's roles.
        hours: how long it is valid.

    Raises:
        StartupError: an option or the config has mistakes, or no authenticator issues tokens.
    """
    for option, value in (("--user", user), ("--tenant", tenant)):
        if not is_id(value):
            raise StartupError(f"{option}: expected 1 to {MAX_ID} characters, and no control characters")
    if math.isnan(hours):  # click's range lets it pass
        raise StartupError("--hours: expected a number")
    # A token that a generated key has signed is worth nothing if that key is forgotten.
    assembly = assemble(path, create_secret_key=True)
    issuers = [issuer for issuer in assembly.authenticators if isinstance(issuer, TokenIssuer)]
    if len(issuers) != 1:
        raise ConfigError(
            f"{assembly.config.source.file}: enabled: {len(issuers) or 'none'} of the enabled authenticators can issue "
            "tokens, and one must; jwt_auth does if it has a `secret`"
        )
    new_user = User(id=user, tenant_id=tenant, roles=frozenset(roles))
    click.echo(issuers[0].issue_token(new_user, timedelta(hours=hours)))
