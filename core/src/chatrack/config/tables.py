"""The tables of the core."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from chatrack.settings import ONE_OR_LIST, Secret, Settings

_LARGEST = 2**31 - 1
"""The upper bound of sizes and counts."""

_DAY = 86_400
"""The upper bound of times, in seconds. Timers cannot be set to infinity."""

MIN_SECRET_KEY = 32
"""The least length of a secret key, in bytes."""

PublicURL = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://[^/\s?#@]+(/[A-Za-z0-9._~-]+)*/?$",
        description='a URL such as "https://chat.example.com"',
    ),
]
Positive = Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=_DAY)]
Quota = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST, description="an `int` >= 0, where 0 means no limit")]
Tokens = Annotated[
    int, msgspec.Meta(ge=0, le=10**15 - 1, description="an `int` >= 0, where 0 means no limit")
]
Host = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^((\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$",
        description='a host without a port, such as "chat.example.com", "*.example.com" or "::1"',
    ),
]
Origin = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s]+)$",
        description='an origin such as "https://example.com", or "*" for all',
    ),
]
MediaTypes = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\*|[a-z0-9.+-]+)/(\*|[a-z0-9.+-]+)$",
        description='a media type in lower case such as "application/pdf" or "image/*"',
    ),
]
LinkHost = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$",
        description='a host in lower case such as "example.com", or "*.example.com" for all below it',
    ),
]


class ServerTable(Settings):
    """`[server]`: the HTTP server.

    Args:
        host: the address to listen on. Without an authenticator only a loopback address is accepted.
        port: the port; 0 takes a free one.
        path: the path of the ChatKit API.
        workers: the number of processes.
        cors_origins: origins of the pages that embed the chat.
        public_url: the URL under which clients reach the server, for absolute URLs and to know its own origin.
        secret_key: the secret, or a list of them, that signing and encryption keys are derived from: the first one signs,
            all of them verify. If it is absent, one is generated into `data/secret_key` when it is first needed.
        allow_anonymous: without an authenticator, whether any address may be listened on; all callers are then one user.
        trusted_proxies: addresses and networks of the proxies that `X-Forwarded-For` is believed from; it is ignored otherwise.
        allowed_hosts: the hosts that the `Host` header may name, such as `chat.example.com` or `*.example.com`; any if empty.
        domain_keys: the keys that a page may send as `X-Domain-Key`; none is required if the list is empty.
        max_body: the largest JSON body, in bytes.
        request_timeout: seconds in which a request must arrive; a large body gets more, at 4 KiB a second.
        heartbeat: seconds without an event after which a stream sends a comment.
        stream_buffer: bytes that a slow client may lag behind before it is disconnected.
        shutdown_grace: seconds that running turns get to finish when the server stops.
        log_level: `debug`, `info`, `warning` or `error`.
        log_format: `console` for people, `json` for machines.
        audit_log: the file of the audit log, opened anew at SIGHUP; stderr if absent.
    """

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    path: Annotated[
        str,
        msgspec.Meta(pattern="^(/[A-Za-z0-9._~-]+)+$", description='a path such as "/chatkit/api"'),
    ] = "/chatkit/api"
    workers: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    cors_origins: list[Origin] = []
    public_url: PublicURL | None = None
    secret_key: Annotated[list[Secret], ONE_OR_LIST] = []
    allow_anonymous: bool = False
    trusted_proxies: list[str] = []
    allowed_hosts: list[Host] = []
    domain_keys: list[Secret] = []
    max_body: Annotated[int, msgspec.Meta(ge=1024, le=_LARGEST)] = 1_048_576
    request_timeout: Annotated[float, msgspec.Meta(gt=0, le=_DAY)] = 30.0
    heartbeat: Annotated[float, msgspec.Meta(gt=0, le=_DAY)] = 15.0
    stream_buffer: Annotated[int, msgspec.Meta(ge=65_536, le=_LARGEST)] = 1_048_576
    shutdown_grace: Seconds = 10.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    audit_log: Path | None = None

    def __post_init__(self) -> None:
        if any(len(secret.reveal().encode()) < MIN_SECRET_KEY for secret in self.secret_key):
            raise ValueError(f"secret_key: a secret must have {MIN_SECRET_KEY} bytes or more")
        if not all(self.domain_keys):  # every request without the header would have the empty one
            raise ValueError("domain_keys: a key must not be empty")
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"trusted_proxies: {error}") from error


class ChatTable(Settings):
    """`[chat]`: the conversation.

    Args:
        agent: the entry agent. If it is absent: the only agent there is, otherwise a built-in one with all tools.
        model: `provider` or `provider/model`, for agents without a model of their own.
        selectable_models: the models that users may choose for a message.
        show_tools: whether users see which tools are called.
        show_reasoning: whether users see the reasoning that models reveal.
        transcription_model: `provider` or `provider/model` that turns speech into text. If it is absent, there is no dictation.
        max_audio: the largest recording, in bytes.
        on_disconnect: whether a turn is cancelled (`cancel`) or runs to its end (`continue`) when its client disconnects.
        history_tokens: how much of the thread the model gets, in tokens (estimated).
        titles: `message` names a thread after the user's first message, `model` lets the model write a better title.
        max_message: the longest message, in characters.
        max_title: the longest title, in characters.
        link_hosts: the hosts that links and images in answers may lead to, such as `example.com` or `*.example.com`; all if absent.
        busy_wait: seconds that a message waits for the previous turn to end.
        lease: seconds without a renewal after which the process of a turn counts as dead.
        checkpoint: seconds between two saves of the text of a running answer.
    """

    agent: str | None = None
    model: str | None = None
    selectable_models: list[str] = []
    show_tools: bool = True
    show_reasoning: bool = True
    transcription_model: str | None = None
    max_audio: Positive = 750_000
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    history_tokens: Annotated[int, msgspec.Meta(ge=256, le=_LARGEST)] = 32_000
    titles: Literal["message", "model"] = "message"
    max_message: Positive = 10_000
    max_title: Positive = 200
    link_hosts: list[LinkHost] | None = None
    busy_wait: Seconds = 5.0
    lease: Annotated[float, msgspec.Meta(ge=1, le=30)] = 20.0
    checkpoint: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 0.75


class RoleLimits(Settings):
    """`[limits.roles.<role>]`: takes the place of the same settings of `[limits]` for users with a role.

    Args:
        requests: as in `[limits]`.
        turns_per_user: as in `[limits]`.
        threads_per_hour: as in `[limits]`.
        tokens_per_day: as in `[limits]`.
    """

    requests: Quota | None = None
    turns_per_user: Quota | None = None
    threads_per_hour: Quota | None = None
    tokens_per_day: Tokens | None = None


class LimitsTable(Settings):
    """`[limits]`: how much users and addresses may ask for. 0 means no limit.

    Args:
        requests: the requests of a user in `window`.
        window: the seconds in which `requests` and `address_requests` are counted.
        address_requests: the requests from an address in `window`, before it is known whose they are.
        turns_per_user: the turns of a user at the same time.
        threads_per_hour: the threads that a user may begin in an hour.
        tokens_per_day: the tokens of a user from midnight to midnight UTC.
        tenant_tokens_per_day: the same for all users of a tenant together.
        auth_failures: the requests with invalid credentials from an address in a minute, before they get 429 instead of 401.
        storage: the URL of the Redis in which all processes count together; each counts for itself if it is absent.
        on_storage_error: whether requests are let through (`allow`) or get 503 (`deny`) while Redis cannot be reached.
        roles: other values for users with a role.
    """

    requests: Quota = 0
    window: Annotated[int, msgspec.Meta(ge=1, le=_DAY)] = 60
    address_requests: Quota = 0
    turns_per_user: Quota = 0
    threads_per_hour: Quota = 0
    tokens_per_day: Tokens = 0
    tenant_tokens_per_day: Tokens = 0
    auth_failures: Quota = 60
    storage: Secret | None = None
    on_storage_error: Literal["allow", "deny"] = "allow"
    roles: dict[str, RoleLimits] = {}


class FilesTable(Settings):
    """`[files]`: the files that users attach, whatever plugin keeps them.

    Args:
        max_size: the largest file, in bytes.
        max_files: how many files a message may have.
        allowed_types: the types that are accepted, such as `image/*`; all if empty.
        url_ttl: seconds until the URL of a file expires.
        orphan_ttl: seconds after which a file that no message has is deleted.
        redirect: whether downloads are redirected to the file store's own URLs, if it has any.
        model_bytes: the bytes of all files of a conversation together that a model is shown, the newest ones first.
    """

    max_size: Positive = 20 * 1024 * 1024
    max_files: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    allowed_types: list[MediaTypes] = []
    url_ttl: Annotated[int, msgspec.Meta(ge=60, le=7 * _DAY)] = 3600
    orphan_ttl: Annotated[int, msgspec.Meta(ge=60, le=365 * _DAY)] = _DAY
    redirect: bool = False
    model_bytes: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)] = 20 * 1024 * 1024


class AgentTable(Settings):
    """`[agents.<name>]`: overrides fields of a plugin's agent or defines a new one; fields as in `AgentSpec`."""

    instructions: str | None = None
    description: str | None = None
    model: str | None = None
    tools: list[str] | None = None
    handoffs: list[str] | None = None
    guardrails: list[str] | None = None
    model_settings: dict[str, Any] | None = None
    max_turns: Positive | None = None
    roles: list[str] | None = None

    def __post_init__(self) -> None:
        _check_roles(self.roles)


class ToolTable(Settings):
    """`[tools.<name>]`: settings of the tools that a name or a glob refers to.

    Args:
        roles: the roles of which a user needs one to use the tool. If several tables refer to a tool, only the roles that are
            in all of them count.
    """

    roles: list[str] | None = None

    def __post_init__(self) -> None:
        _check_roles(self.roles)


def _check_roles(roles: list[str] | None) -> None:
    if roles is not None and not all(roles or [""]):
        raise ValueError("roles: expected one role or more; leave it out to admit everybody")
