"""Signed URLs of files: whoever has one may do what it is for until it expires."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlencode

from chatrack.config import ServerTable
from chatrack.errors import Forbidden
from chatrack.interfaces import User

Purpose = Literal["files", "upload"]
"""What a URL is for, and the part of its path that says so: reading a file, or sending its bytes."""

_STEPS = 4
"""How many different URLs of a file there are in `ttl`: with one for each second, browsers would cache none."""


class FileLinks:
    """Makes and checks signed URLs.

    A signature is an HMAC-SHA256 over the purpose, the file, its owner and the time when the URL expires.

    Args:
        keys: the keys; the first one signs, and all of them verify.
        base_url: the URL of the ChatKit API.
        ttl: the seconds until a URL expires; it may be a quarter less.
    """

    def __init__(self, keys: Sequence[bytes], base_url: str, ttl: int) -> None:
        self._keys = keys
        self.base_url = base_url
        self._ttl = ttl

    def url(self, purpose: Purpose, file_id: str, user: User) -> str:
        """Return a URL.

        Args:
            purpose: what it is for.
            file_id: the file.
            user: the owner of the file.
        """
        step = max(1, self._ttl // _STEPS)
        expires = str(int(time.time()) // step * step + self._ttl)
        owner = _encode(f"{user.tenant_id}\0{user.id}".encode())
        signature = _sign(self._keys[0], purpose, file_id, owner, expires)
        query = urlencode({"owner": owner, "expires": expires, "signature": signature})
        return f"{self.base_url}/{purpose}/{file_id}?{query}"

    def check(self, purpose: Purpose, file_id: str, query: Mapping[str, str]) -> tuple[User, int]:
        """Check the query of a URL.

        Args:
            purpose: what it is used for.
            file_id: the file in its path.
            query: the query.

        Returns:
            The owner of the file, and the seconds until the URL expires.

        Raises:
            Forbidden: the URL was not made here for this file and purpose, or has expired.
        """
        owner, expires, signature = (query.get(name, "") for name in ("owner", "expires", "signature"))
        # All keys are tried, so that the time does not depend on which one matches.
        matches = [
            hmac.compare_digest(_sign(key, purpose, file_id, owner, expires).encode(), signature.encode())
            for key in self._keys
        ]
        if not any(matches):
            raise Forbidden("The URL of the file is not valid.")
        left = int(expires) - int(time.time())
        if left <= 0:
            raise Forbidden("The URL of the file has expired; load the conversation again to get a new one.")
        tenant_id, _, user_id = _decode(owner).decode().partition("\0")
        return User(id=user_id, tenant_id=tenant_id), left


def base_url(settings: ServerTable, *, port: int | None = None) -> str:
    """Return the URL of the ChatKit API, as clients reach it.

    Args:
        settings: `[server]`.
        port: the port that the server listens on, if `[server] port` does not say.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    root = settings.public_url or f"http://{host}:{port or settings.port}"
    return root.rstrip("/") + settings.path


def _sign(key: bytes, *parts: str) -> str:
    # Each part with its length: no two lists of parts are the same bytes.
    message = b"".join(f"{len(part.encode())}:{part}".encode() for part in parts)
    return _encode(hmac.digest(key, message, hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
