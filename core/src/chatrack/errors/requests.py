"""Refused requests. Each class is one HTTP status."""

from typing import ClassVar

from chatrack.errors.base import ChatrackError


class RequestError(ChatrackError):
    """A request is refused.

    Args:
        detail: what is wrong, in a sentence for the caller; never a secret, never another user's data.
        field: the path of the request field that is wrong, such as `params.limit`.
        retry_after: seconds after which the caller may try again.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: int | None = None) -> None:
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        super().__init__(detail)


class BadRequest(RequestError):
    """The request is malformed, or one of its fields has a value that is not accepted."""

    status = 400
    title = "Bad Request"


class Unauthenticated(RequestError):
    """The credentials are missing or not valid."""

    status = 401
    title = "Unauthorized"


class Forbidden(RequestError):
    """The caller is known but not allowed to do this."""

    status = 403
    title = "Forbidden"


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    status = 405
    title = "Method Not Allowed"


class ThreadBusy(RequestError):
    """Another turn is running in this thread."""

    status = 409
    title = "Conflict"


class Conflict(RequestError):
    """The request does not fit the state of what it names; it says what to do first."""

    status = 409
    title = "Conflict"


class PayloadTooLarge(RequestError):
    """The body of the request is larger than the server accepts."""

    status = 413
    title = "Payload Too Large"


class UnsupportedMediaType(RequestError):
    """The body of the request has a media type that the route does not read."""

    status = 415
    title = "Unsupported Media Type"


class TooManyRequests(RequestError):
    """A limit is reached.

    Args:
        detail: which limit, and when to try again, in a sentence for the caller.
        retry_after: seconds after which there is room again.
        limit: the name of the limit in `[limits]`, for the headers `RateLimit` and `RateLimit-Policy`; None for other limits.
        quota: how much the limit allows.
        window: the seconds in which that is counted; None if it is not counted over time.
        unit: what is counted, if not requests: a quota unit of the headers.
    """

    status = 429
    title = "Too Many Requests"

    def __init__(
        self,
        detail: str,
        *,
        retry_after: int | None = None,
        limit: str | None = None,
        quota: int = 0,
        window: int | None = None,
        unit: str | None = None,
    ) -> None:
        self.limit = limit
        self.quota = quota
        self.window = window
        self.unit = unit
        super().__init__(detail, retry_after=retry_after)


class Unavailable(RequestError):
    """The server cannot answer now: it is shutting down, or its database cannot be reached."""

    status = 503
    title = "Service Unavailable"
