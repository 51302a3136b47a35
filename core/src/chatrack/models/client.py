"""The openai client, with time limits and retries of our own, and streams that read the short way."""

import asyncio
import functools
import itertools
import random
from typing import Any

import httpx2
import openai
import structlog
from openai import AsyncStream
from openai.resources.chat import AsyncChat

from chatrack.errors import ModelFailure
from chatrack.models.calls import assign_call_ids
from chatrack.models.draining import deliver_queued_first
from chatrack.models.failures import failure_of
from chatrack.models.limits import Limits
from chatrack.models.messages import normalize_messages
from chatrack.models.resources import PlainCompletions, PlainResponses
from chatrack.models.stream import STARTED, STREAMS

_log = structlog.get_logger(source="chatrack.models")

_PAUSE = 0.5
"""Seconds before the first retry; twice as long before each next one, if the provider does not say."""

_LONGEST_PAUSE = 30.0
"""Nobody in front of a chat waits longer: then the provider's answer is what the user gets."""

_CONNECT = 10.0

_ENCRYPTED = "reasoning.encrypted_content"


class Client(openai.AsyncOpenAI):
    """One endpoint's client; `limits` and `retries` are set after it was made, for the client copies itself."""

    limits = Limits()
    retries = 0
    """How often a request is sent again that was refused for the moment or never arrived."""

    def __init__(self, **options: Any) -> None:
        timeout = httpx2.Timeout(None, connect=_CONNECT)
        super().__init__(**{"max_retries": 0, "timeout": timeout, **options})
        self._unencrypted: set[str] = set()
        """Models that keep their reasoning to themselves."""

    @functools.cached_property
    def responses(self) -> PlainResponses:
        """The Responses API."""
        return PlainResponses(self)

    @functools.cached_property
    def chat(self) -> AsyncChat:
        """Chat Completions."""
        chat = AsyncChat(self)
        vars(chat)["completions"] = PlainCompletions(self)  # where the class would keep its own
        return chat

    async def request(
        self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        """Send a request; as the class above, but that its failures are `ModelFailure`s.

        Raises:
            ModelFailure: the provider refused, or did not answer in time.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        until = started + (self.limits.first_token if stream else self.limits.total)
        if stream:
            stream_cls = STREAMS.get(options.url, stream_cls)
        if options.url == "/chat/completions":
            options.json_data = {
                **options.json_data,
                "messages": normalize_messages(options.json_data["messages"]),
            }
        for attempt in itertools.count():
            self._leave_out_reasoning(options)
            try:
                async with asyncio.timeout_at(until):
                    answer = await super().request(cast_to, options, stream=stream, stream_cls=stream_cls)
                break
            except TimeoutError as error:
                raise deliver_queued_first(ModelFailure("first_token_timeout")) from error
            except openai.APIError as error:
                if self._wants_no_reasoning(error, options):
                    continue
                failure = failure_of(error)
                assert failure is not None
                pause = self._pause(failure, attempt)
                if pause is None or clock() + pause >= until:
                    raise deliver_queued_first(failure) from error
                _log.info(
                    "asking the provider again",
                    reason=failure.fault,
                    status=failure.status,
                    request=failure.request_id,
                    seconds=round(pause, 2),
                )
            await asyncio.sleep(pause)
        if stream:
            response = answer.response if isinstance(answer, AsyncStream) else answer.http_response
            response.extensions[STARTED] = started
        else:
            assign_call_ids(answer, options.json_data if isinstance(options.json_data, dict) else {})
        return answer

    def _pause(self, failure: ModelFailure, attempt: int) -> float | None:
        """Give the seconds to wait before a request is sent again, or None if that is of no use."""
        if attempt >= self.retries or failure.fault not in {"rate_limited", "unavailable"}:
            return None
        if failure.retry_after is not None:
            return failure.retry_after if failure.retry_after <= _LONGEST_PAUSE else None
        pause: float = min(_LONGEST_PAUSE, _PAUSE * 2**attempt)
        return pause * random.uniform(0.75, 1)  # noqa: S311  (spreads the load, guards nothing)

    # Models without reasoning refuse to be asked for it; which they are, they alone know.

    def _wants_no_reasoning(self, error: openai.APIError, options: Any) -> bool:
        body = options.json_data
        if not isinstance(error, openai.BadRequestError) or not isinstance(body, dict):
            return False
        if _ENCRYPTED not in (body.get("include") or []) or "encrypted content" not in str(error).lower():
            return False
        self._unencrypted.add(str(body.get("model")))
        return True

    def _leave_out_reasoning(self, options: Any) -> None:
        body = options.json_data
        if isinstance(body, dict) and body.get("model") in self._unencrypted and body.get("include"):
            options.json_data = {**body, "include": [one for one in body["include"] if one != _ENCRYPTED]}
