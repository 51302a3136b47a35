"""Sends the requests, and checks what comes back, the log and the memory of the server."""

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir

from bench.processes import memory
from tests.fuzz.requests import Call, calls
from tests.fuzz.server import fuzzed_server
from tests.support.process import Server
from tests.support.serving import EVENT
from tests.support.tokens import claims, token
from tests.support.waiting import LIMIT

WARM = 2000
"""Requests after which the memory is measured for the first time."""

MAX_GROWTH = 20 * 1024 * 1024

_NOT_HTTP = b"Invalid HTTP request received."
"""What uvicorn answers by itself."""

_KEPT = 200
"""Threads of each user, and items of each thread, that are used again."""


@dataclass(frozen=True)
class Options:
    """What to do.

    Args:
        requests: how many.
        seed: for the choice of all of them.
        fresh: whether the server is started by running the installed script itself.
    """

    requests: int = 10_000
    seed: int = 0
    fresh: bool = True


@dataclass
class Report:
    """What happened."""

    statuses: Counter[int] = field(default_factory=Counter)
    streams: int = 0
    errors: int = 0
    growth: int | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line."""
        statuses = ", ".join(f"{count} of {status}" for status, count in sorted(self.statuses.items()))
        grown = (
            "" if self.growth is None else f", grown by {self.growth / 2**20:.1f} MiB from request {WARM} on"
        )
        return f"{statuses}; {self.streams} streams, {self.errors} with an error event{grown}"


def run(options: Options, folder: Path) -> Report:
    """Fuzz a server of its own.

    Args:
        options: how much.
        folder: for its files.
    """
    set_hypothesis_home_dir(folder / "hypothesis")
    report = Report()
    with fuzzed_server(folder, fresh=options.fresh) as server, _Client(server, report) as client:
        client.begin()
        before = _send(client, options, server)
        if before is not None:
            report.growth = memory(server.pid, "Rss") - before
            if report.growth > MAX_GROWTH:
                report.failures.append(f"the server has grown by {report.growth} bytes")
        if not server.running:
            report.failures.append("the server has ended")
        log = server.log()
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if "Traceback" in line or "[error" in line or "[critical" in line:
            report.failures.append("in the log: " + "\n".join(lines[number : number + 40]))
    return report


def _send(client: "_Client", options: Options, server: Server) -> int | None:
    """Send all requests, and return the memory after the first ones."""
    warm: int | None = None
    round_number = 0
    while client.sent < options.requests and server.running:

        @seed(options.seed + round_number)
        @settings(
            max_examples=min(1000, options.requests - client.sent),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(call=calls())
        def send(call: Call) -> None:
            client.send(call)

        send()
        round_number += 1
        if warm is None and client.sent >= WARM:
            warm = memory(server.pid, "Rss")
    return warm


class _Client:
    """Sends calls, and remembers the ids of what there is."""

    def __init__(self, server: Server, report: Report) -> None:
        self.sent = 0
        self._report = report
        self._http = httpx.Client(base_url=server.url, timeout=LIMIT, trust_env=False, verify=False)
        self._threads: dict[str, dict[str, list[str]]] = {"ada": {}, "bob": {}}
        """The items of threads by user and thread."""
        self._headers = {
            **{name: f"Bearer {token(claims(sub=name, name=name * 3))}" for name in ("ada", "bob")},
            "expired": f"Bearer {token(claims(exp=int(time.time()) - 3600))}",
            "garbage": "Bearer \xff.é.x",
            "wrong scheme": "Basic Og==",
        }

    def begin(self) -> None:
        """Begin threads for all users, so that there is something to refer to."""
        for user in self._threads:
            for text in ("hello", "call read_screen {}", "call ask_user {}", 'call show_card {"text": "x"}'):
                message = {
                    "content": [{"type": "input_text", "text": text}],
                    "attachments": [],
                    "inference_options": {},
                }
                body = {"type": "threads.create", "params": {"input": message}}
                self.send(Call("POST", "/chatkit/api", user, {}, body, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, call: Call) -> None:
        """Send a request, and check the response."""
        self.sent += 1
        headers = {"content-type": "application/json", **call.headers}
        if call.credentials in self._headers:
            headers["authorization"] = self._headers[call.credentials]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        body = call.body if isinstance(call.body, bytes) else self._encode(call)
        request = self._http.build_request(call.method, call.path, headers=raw, content=body)
        problem = None
        try:
            response = self._http.send(request, stream=True)
            try:
                if call.read is not None:
                    size = 0
                    for piece in response.iter_raw():
                        size += len(piece)
                        if size > call.read:
                            break
                    if response.status_code >= 500:
                        problem = f"status {response.status_code}"
                else:
                    response.read()
                    problem = self._problem(response, call)
                self._report.statuses[response.status_code] += 1
            finally:
                response.close()
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            shown = body[:2000] + (b"..." if len(body) > 2000 else b"")
            self._report.failures.append(
                f"{problem}: {call.method} {call.path[:200]} {call.headers} {shown!r}"
            )

    def _encode(self, call: Call) -> bytes:
        """Return the JSON of a body, with ids of what its user has, or of what another one has."""
        text = "" if call.body is None else json.dumps(call.body, allow_nan=False).replace("\\u00a7", "§")
        thread = "none"

        def fill_in(match: Any) -> str:
            nonlocal thread
            number = int(match[2])
            user = "bob" if (call.credentials == "bob") != (number % 7 == 0) else "ada"
            if match[1] == "thread":
                known = [*self._threads[user]]
                thread = known[number % len(known)] if known else "none"
                return thread
            items = self._threads[user].get(thread) or [""]
            return items[-1 - number % len(items)]

        filled = re.sub("§(thread):([0-9]+)", fill_in, text)
        filled = re.sub("§(item):([0-9]+)", fill_in, filled)
        return filled.encode()

    def _problem(self, response: httpx.Response, call: Call) -> str | None:
        """Return what is wrong with a response."""
        status, kind = response.status_code, response.headers.get("content-type", "")
        if status >= 500:
            return f"status {status}"
        if status == 400 and response.content == _NOT_HTTP:
            return None
        if "x-request-id" not in response.headers:
            return "no request id"
        if (
            call.credentials not in {"ada", "bob"}
            and status == 200
            and call.path.startswith("/chatkit")
            and call.method == "POST"
        ):
            return "answered without credentials"
        if call.method in {"HEAD", "OPTIONS"}:
            return None
        if status >= 400:
            if kind != "application/problem+json":
                return f"an error as {kind}"
            problem = response.json()
            missing = {"type", "title", "status", "detail", "request_id"} - set(problem)
            return f"a problem without {missing}" if missing or problem["status"] != status else None
        if kind.startswith("text/event-stream"):
            return self._stream_problem(response.text, call)
        if response.content and kind != "application/json":
            return f"an answer as {kind}"
        if response.content:
            if b"threads.delete" in response.request.content:
                gone = set(re.findall(r"thr_\w+", response.request.content.decode(errors="replace")))
                for threads in self._threads.values():
                    for thread in gone & set(threads):
                        del threads[thread]
            self._remember(call.credentials, response.json())
        return None

    def _stream_problem(self, text: str, call: Call) -> str | None:
        self._report.streams += 1
        *blocks, rest = text.split("\n\n")
        if rest:
            return "a stream that breaks off"
        for block in blocks:
            if block.startswith(":"):
                continue
            if not block.startswith("data: ") or "\n" in block:
                return f"an event such as {block[:100]!r}"
            event = json.loads(block[6:])
            EVENT.validate_python(event)
            self._remember(call.credentials, event)
            if event["type"] == "error":
                self._report.errors += 1
                if event.get("code") != "custom" or not event.get("message"):
                    return f"an event {event}"
        return None

    def _remember(self, user: str, value: Any) -> None:
        """Keep the ids of threads and items in an answer."""
        if isinstance(value, dict):
            found, thread = value.get("id"), value.get("thread_id")
            if isinstance(found, str) and found.startswith("thr_"):
                self._threads[user].setdefault(found, [])
                for old in [*self._threads[user]][:-_KEPT]:
                    del self._threads[user][old]
            elif isinstance(found, str) and isinstance(thread, str):
                items = self._threads[user].setdefault(thread, [])
                if found not in items:
                    items.append(found)
                    del items[:-_KEPT]
            for member in value.values():
                self._remember(user, member)
        elif isinstance(value, list):
            for member in value:
                self._remember(user, member)
