"""Errors of stores. This module loads ChatKit, whose error for missing objects `NotFound` extends."""

from chatkit.store import NotFoundError

from chatrack.errors.base import ChatrackError
from chatrack.errors.requests import RequestError


class NotFound(RequestError, NotFoundError):
    """The object does not exist or belongs to another user; the caller cannot tell which.

    It is also a `chatkit.store.NotFoundError`, so code written for ChatKit's stores catches it.
    """

    status = 404
    title = "Not Found"


class LeaseLost(ChatrackError):
    """The turn no longer holds its thread: another turn took it over, or the thread was deleted.

    The write that raised it stored nothing.
    """
