"""Whose data a command is about."""

from chatrack.assembly import UserDataService
from chatrack.errors import StartupError
from chatrack.interfaces import User

_DEFAULT = "default"


def check(user: str | None, tenant: str | None) -> str:
    """Check what the options `--user` and `--tenant` say; give the user.

    Raises:
        StartupError: they name nobody.
    """
    if user is None:
        raise StartupError("--user: say whose data is meant")
    for option, value in (("--user", user), ("--tenant", tenant)):
        if value is not None and not (value and _is_text(value)):
            raise StartupError(f"{option}: expected an id, got {value!r}")
    return user


async def find(kept: UserDataService, user: str, tenant: str | None) -> User:
    """Give the user that is meant.

    Raises:
        StartupError: there are tenants, and none was named.
    """
    if tenant is None:
        tenants = await kept.tenants()
        if tenants - {_DEFAULT}:
            count = "1 tenant" if len(tenants) == 1 else f"{len(tenants)} tenants"
            raise StartupError(
                f"--tenant: say whose {user} is meant; it may be left out only where all data is that of the "
                f"tenant {_DEFAULT}, and there is data of {count}"
            )
    return User(id=user, tenant_id=_DEFAULT if tenant is None else tenant)


def name_of(user: User) -> str:
    """Give what a user is called in a sentence."""
    names = (name if name.isprintable() else repr(name) for name in (user.id, user.tenant_id))
    return "user {} of tenant {}".format(*names)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        return False
    return True
