"""The options `--user` and `--tenant`."""

from chatrack.assembly import UserDataService
from chatrack.errors import StartupError
from chatrack.interfaces import User

_DEFAULT = "default"


def check(user: str | None, tenant: str | None) -> str:
    """Check the values of the options; return the user's id.

    Raises:
        StartupError: an id is missing, empty or not text.
    """
    if user is None:
        raise StartupError("--user: required; the id of the user whose data is meant")
    for option, value in (("--user", user), ("--tenant", tenant)):
        if value is not None and not (value and _is_text(value)):
            raise StartupError(f"{option}: expected an id, got {value!r}")
    return user


async def find(data: UserDataService, user: str, tenant: str | None) -> User:
    """Return the user that the options name.

    Raises:
        StartupError: there is data of other tenants than `default`, and `--tenant` is missing.
    """
    if tenant is None:
        tenants = await data.tenants()
        if tenants - {_DEFAULT}:
            count = "1 tenant" if len(tenants) == 1 else f"{len(tenants)} tenants"
            raise StartupError(
                f"--tenant: required, because there is data of {count}; it may be left out only if all data is of "
                f"the tenant {_DEFAULT}"
            )
    return User(id=user, tenant_id=_DEFAULT if tenant is None else tenant)


def describe(user: User) -> str:
    """Return a user's id and tenant as part of a sentence."""
    names = (name if name.isprintable() else repr(name) for name in (user.id, user.tenant_id))
    return "user {} of tenant {}".format(*names)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes in the command line that are not UTF-8
        return False
    return True
