"""The openai client, with deadlines, retries and stream decoding of our own."""

import asyncio
import functools
import itertools
import random
import ssl
from typing import Any

import httpx2
import openai
import structlog
from openai import AsyncStream
from openai.resources.chat import AsyncChat

from chatrack.errors import ModelFailure
from chatrack.models.calls import assign_call_ids
from chatrack.models.failures import as_model_failure
from chatrack.models.limits import Limits
from chatrack.models.messages import normalize_messages
from chatrack.models.queued_events import deliver_queued_first
from chatrack.models.resources import PlainCompletions, PlainResponses
from chatrack.models.stream import REQUEST_STARTED, STREAM_CLASSES

_log = structlog.get_logger(source="chatrack.models")

RETRY_DELAY = 0.5
"""Seconds before the first retry if the provider does not say; doubled for each further one."""

MAX_RETRY_DELAY = 30.0
"""Seconds. A provider that asks for more is not asked again: the user is told when to retry."""

CONNECT_TIMEOUT = 10.0
"""Seconds."""

ENCRYPTED_REASONING = "reasoning.encrypted_content"


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Return the SSL context that all clients share. Reading the trusted certificates takes longer than the rest."""
    return httpx2.create_ssl_context()


class Client(openai.AsyncOpenAI):
    """A client of one endpoint. `limits` and `retries` are set after creation, because the client copies itself."""

    limits = Limits()
    retries = 0
    """The number of retries after the faults `rate_limited` and `unavailable`."""

    def __init__(self, **options: Any) -> None:
        # docs/upstream.md: no-total-timeout
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT)
        if options.get("http_client") is None:
            options["http_client"] = openai.DefaultAsyncHttpxClient(timeout=timeout, verify=_ssl_context())
        super().__init__(**{"max_retries": 0, "timeout": timeout, **options})
        self._models_without_reasoning: set[str] = set()
        """The models that refused to return encrypted reasoning."""

    @functools.cached_property
    def responses(self) -> PlainResponses:
        """The Responses API."""
        return PlainResponses(self)

    @functools.cached_property
    def chat(self) -> AsyncChat:
        """Chat Completions."""
        chat = AsyncChat(self)
        vars(chat)["completions"] = PlainCompletions(self)  # where the cached property stores its value
        return chat

    async def request(
        self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        """Send a request; takes and returns what the base class does.

        Raises:
            ModelFailure: the provider refused, or did not respond in time.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        deadline = started + (self.limits.first_token if stream else self.limits.total)
        if stream:
            stream_cls = STREAM_CLASSES.get(options.url, stream_cls)
        if options.url == "/chat/completions":
            options.json_data = {
                **options.json_data,
                "messages": normalize_messages(options.json_data["messages"]),
            }
        for attempt in itertools.count():
            self._omit_encrypted_reasoning(options)
            try:
                async with asyncio.timeout_at(deadline):
                    result = await super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
                break
            except TimeoutError as error:
                raise deliver_queued_first(ModelFailure("first_token_timeout")) from error
            except openai.APIError as error:
                if self._note_reasoning_refusal(error, options):
                    continue
                failure = as_model_failure(error)
                assert failure is not None
                delay = self._retry_delay(failure, attempt)
                if delay is None or clock() + delay >= deadline:
                    raise deliver_queued_first(failure) from error
                _log.info(
                    "retrying model request",
                    fault=failure.fault,
                    status=failure.status,
                    provider_request_id=failure.request_id,
                    delay_seconds=round(delay, 2),
                )
            await asyncio.sleep(delay)
        if stream:
            response = result.response if isinstance(result, AsyncStream) else result.http_response
            response.extensions[REQUEST_STARTED] = started
        else:
            assign_call_ids(result, options.json_data if isinstance(options.json_data, dict) else {})
        return result

    def _retry_delay(self, failure: ModelFailure, attempt: int) -> float | None:
        """Return the seconds before the next attempt, or None if there is to be none."""
        if attempt >= self.retries or failure.fault not in {"rate_limited", "unavailable"}:
            return None
        if failure.retry_after is not None:
            return failure.retry_after if failure.retry_after <= MAX_RETRY_DELAY else None
        delay: float = min(MAX_RETRY_DELAY, RETRY_DELAY * 2**attempt)
        return delay * random.uniform(0.75, 1)  # noqa: S311  (jitter, not a secret)

    # Models without reasoning refuse requests that include it. The names of some tell; the others are remembered here
    # after they have refused.

    def _note_reasoning_refusal(self, error: openai.APIError, options: Any) -> bool:
        body = options.json_data
        if not isinstance(error, openai.BadRequestError) or not isinstance(body, dict):
            return False
        if (
            ENCRYPTED_REASONING not in (body.get("include") or [])
            or "encrypted content" not in str(error).lower()
        ):
            return False
        self._models_without_reasoning.add(str(body.get("model")))
        return True

    def _omit_encrypted_reasoning(self, options: Any) -> None:
        body = options.json_data
        if (
            isinstance(body, dict)
            and body.get("model") in self._models_without_reasoning
            and body.get("include")
        ):
            include = [name for name in body["include"] if name != ENCRYPTED_REASONING]
            options.json_data = {**body, "include": include}
