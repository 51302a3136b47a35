"""Storage accounts of Azure, and the connection strings that name them."""

import base64
import binascii
from urllib.parse import urlsplit

import msgspec

from chatrack import Secret


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A storage account.

    Args:
        name: its name.
        key: one of its two keys, in Base64.
        endpoint: the URL of its blobs.
    """

    name: str
    key: Secret
    endpoint: str


def parse_connection_string(text: str) -> Account:
    """Return the account that a connection string names.

    Raises:
        ValueError: something is missing, or not understood; the message does not quote the string.
    """
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            parts[name.lower()] = value
        elif name:
            raise ValueError(
                "expected `Name=value` pairs with `;` between them, as the Azure portal shows them"
            )
    if "sharedaccesssignature" in parts:
        raise ValueError("has a shared access signature, which cannot sign URLs; take one with `AccountKey`")
    for name in ("AccountName", "AccountKey"):
        if not parts.get(name.lower()):
            raise ValueError(f"has no `{name}`")
    endpoint = parts.get("blobendpoint") or default_endpoint(
        parts["accountname"],
        scheme=parts.get("defaultendpointsprotocol", "https"),
        suffix=parts.get("endpointsuffix", "core.windows.net"),
    )
    try:
        check_endpoint(endpoint)
    except ValueError as error:
        raise ValueError(f"its endpoint of blobs {error}") from None
    if not is_key(parts["accountkey"]):
        raise ValueError("its `AccountKey` is not Base64")
    return Account(name=parts["accountname"], key=Secret(parts["accountkey"]), endpoint=endpoint)


def default_endpoint(name: str, *, scheme: str = "https", suffix: str = "core.windows.net") -> str:
    """Return the URL of an account's blobs in one of Azure's clouds."""
    return f"{scheme}://{name}.blob.{suffix}"


def check_endpoint(url: str) -> None:
    """Check a URL of blobs.

    Raises:
        ValueError: it is none, or has parts that it must not have; the message does not quote it.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("is not a URL such as https://account.blob.core.windows.net")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be without a user, a password and a query")


def is_key(text: str) -> bool:
    """Return whether a text can be the key of an account."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
