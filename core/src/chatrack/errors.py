"""Every exception that Chatrack raises on purpose.

::

    ChatrackError
    ├── StartupError             a mistake of the operator: one plain line, exit code 2
    │   ├── ConfigError          config.toml, .env or the environment (one line per mistake)
    │   └── PluginError          a plugin that cannot be used, with its distribution and stage
    ├── RequestError             a request that is refused, with its HTTP status
    │   ├── BadRequest           400
    │   ├── Unauthenticated      401
    │   ├── Forbidden            403
    │   ├── NotFound             404
    │   ├── MethodNotAllowed     405
    │   ├── ThreadBusy           409
    │   ├── PayloadTooLarge      413
    │   ├── UnsupportedMediaType 415
    │   └── Unavailable          503
    ├── ModelFailure             a model did not answer as it should
    └── LeaseLost                this turn no longer owns its thread; nothing was written
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

Stage = Literal["install", "import", "api", "settings", "hook", "start", "copy", "export", "purge"]
"""Where in its life a plugin failed."""


class ChatrackError(Exception):
    """The base of every error that Chatrack raises on purpose."""


class StartupError(ChatrackError):
    """The server cannot start as it is configured.

    Args:
        lines: what is wrong, one mistake a line.
    """

    def __init__(self, lines: str | Sequence[str]) -> None:
        self.lines = [lines] if isinstance(lines, str) else list(lines)
        super().__init__("\n".join(self.lines))


class ConfigError(StartupError):
    """Something in config.toml, .env or the environment is wrong; each line names file and key."""


class PluginError(StartupError):
    """A plugin cannot be used.

    Args:
        plugin: its name, as in `enabled`.
        stage: where it failed.
        message: what is wrong and what to do.
        distribution: the distribution that brings it, with its version, if known.
    """

    def __init__(self, plugin: str, stage: Stage, message: str, *, distribution: str | None = None) -> None:
        self.plugin = plugin
        self.stage = stage
        source = f" ({distribution})" if distribution else ""
        super().__init__(f"plugin {plugin}{source}: {stage}: {' '.join(message.split())}")


class RequestError(ChatrackError):
    """A request is refused.

    Args:
        detail: what is wrong, in a sentence for the caller; never a secret, never another user's data.
        field: the field of the request it is about, as a path (`params.limit`).
        retry_after: seconds after which it is worth trying again.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: int | None = None) -> None:
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        super().__init__(detail)


class BadRequest(RequestError):
    """The request is malformed or asks for something that does not exist."""

    status = 400
    title = "Bad Request"


class Unauthenticated(RequestError):
    """There are no credentials, or they are not valid."""

    status = 401
    title = "Unauthorized"


class Forbidden(RequestError):
    """The caller is known and may not do this."""

    status = 403
    title = "Forbidden"


class NotFound(RequestError):
    """There is no such thing, or it is someone else's: the two cannot be told apart."""

    status = 404
    title = "Not Found"


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    status = 405
    title = "Method Not Allowed"


class ThreadBusy(RequestError):
    """This thread already has a turn running."""

    status = 409
    title = "Conflict"


class PayloadTooLarge(RequestError):
    """The body of the request is larger than the server accepts."""

    status = 413
    title = "Payload Too Large"


class UnsupportedMediaType(RequestError):
    """The body of the request is not of a type that the route reads."""

    status = 415
    title = "Unsupported Media Type"


class Unavailable(RequestError):
    """The server cannot answer right now: it is shutting down, or its database is away."""

    status = 503
    title = "Service Unavailable"


Fault = Literal[
    "authentication",  # the provider refuses the key
    "quota",  # the account is used up
    "rate_limited",  # 429
    "unavailable",  # 5xx, no connection, or a failure reported in the middle of the answer
    "first_token_timeout",  # the model did not begin to answer in time
    "idle_timeout",  # silence in the middle of the answer, or an answer that takes too long
    "broken",  # the connection broke, or what came made no sense
    "context_length_exceeded",  # the input is too long for the model
    "filtered",  # the provider's content filter
    "refused",  # the model declined to answer
    "max_output_tokens",  # the answer reached its greatest length
    "unknown_model",  # no such model, or no such address
    "rejected",  # another 4xx
    "max_turns_exceeded",  # the agent called its model too often in one turn
]
"""What went wrong with a model. Users read a sentence for each; logs name it."""


class ModelFailure(ChatrackError):
    """A model did not answer as it should. Model providers may raise it; the turn tells the user.

    Args:
        fault: what went wrong.
        request_id: what the provider calls the request, for the log.
        status: the HTTP status, if there was one.
        code: the provider's own name for the mistake.
        retry_after: seconds after which it is worth trying again, if the provider said so.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        request_id: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.fault = fault
        self.request_id = request_id
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.model: str | None = None
        """Which model it was, `provider/model`, once the turn has said so."""
        # Providers quote the request in their messages, sometimes with a part of the key: they stay out.
        super().__init__(f"the model: {fault.replace('_', ' ')}")


class LeaseLost(ChatrackError):
    """Another turn has taken this thread over (or it was deleted); the write was refused as a whole."""
