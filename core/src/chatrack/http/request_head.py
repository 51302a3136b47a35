"""What the head of a request may look like, beyond what the parser checks."""

import re
from collections.abc import Sequence
from http import HTTPStatus

MAX_URL = 8192
"""The longest target of a request, in bytes."""

MAX_HEADERS = 100
"""The greatest number of headers."""

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]{0,5})?")


class Refused(Exception):
    """A request is refused before the application sees it.

    Args:
        status: the status of the response.
        detail: what is wrong, in a sentence for the client.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(detail)


def check_head(version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], *, upgrade: bool) -> None:
    """Refuse a head that proxies and servers may understand in different ways.

    Args:
        version: the version of HTTP, such as `1.1`.
        target: the target of the request, as it was sent.
        headers: the headers; names are in lower case.
        upgrade: whether the client asks for another protocol.

    Raises:
        Refused: there is something in it that no ordinary client sends.
    """
    # docs/upstream.md: lenient-heads, upgrade-bodies
    if version not in {"1.0", "1.1"}:
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1.")
    if not target.startswith(b"/"):
        raise bad_request("The target of a request must begin with a slash.")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise bad_request("A request has one Host header.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise bad_request("The Host header is not a host name or an address.")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and ([value.lower() for value in codings] != [b"chunked"] or version == "1.0"):
        raise bad_request("The only transfer coding that this server reads is chunked.")
    lengths = [value for name, value in headers if name == b"content-length"]
    if upgrade and (codings or any(value.strip(b"0") for value in lengths)):
        raise bad_request("This server does not switch to another protocol.")


def bad_request(detail: str) -> Refused:
    """Return the refusal of a request that is not as it should be."""
    return Refused(HTTPStatus.BAD_REQUEST, detail)
