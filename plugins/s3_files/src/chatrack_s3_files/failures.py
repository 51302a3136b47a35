"""From what obstore raises to what file stores raise."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

from obstore.exceptions import BaseError

from chatrack import NotFound, Unavailable

RETRY_AFTER = 5
"""Seconds after which a request that failed may be repeated."""

_STATUS = re.compile(r"\bstatus(?: code)?: (\d{3})\b")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_KIND = re.compile(r"\bkind: (\w+)")

_KINDS = {"Connect": "no connection", "Timeout": "no answer in time"}


class RequestFailed(Exception):
    """Why a request failed. It has no text of the service, which may quote the request with its signature."""


@contextlib.asynccontextmanager
async def requesting(what: str, seconds: float | None, *, reading: bool = False) -> AsyncIterator[None]:
    """Translate the errors of a request.

    Args:
        what: what cannot be done if it fails, for the user.
        seconds: how long it may take; None for as long as it limits itself to.
        reading: whether there may be no such object.

    Raises:
        NotFound: there is none.
        Unavailable: the request failed.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (BaseError, OSError) as error:
        missing = reading and isinstance(error, FileNotFoundError)
        reason = reason_of(error)
    else:
        return
    # Outside of the `except`: the error is not even the context of what is raised.
    if missing:
        raise NotFound("There is no such file.")
    raise Unavailable(f"{what}: {reason}.", retry_after=RETRY_AFTER) from RequestFailed(reason)


def reason_of(error: Exception) -> str:
    """Return why a request failed, in words that are nobody's secret."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(error)
    status, code, kind = _STATUS.search(text), _CODE.search(text), _KIND.search(text)
    if "BareRedirect" in text:
        return "it is in another region"
    if status is not None:
        return f"HTTP {status[1]}" + (f" ({code[1]})" if code else "")
    if kind is not None and kind[1] in _KINDS:
        return _KINDS[kind[1]]
    return "no connection, or no answer" if "error sending request" in text else "the request failed"
