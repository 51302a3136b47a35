"""What the clients received, to be compared with what is stored at the end."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.chaos.attempt import Attempt, Outcome, todo_in, wished_by
from tests.support.serving import message, text_of


@dataclass
class Interruption:
    """A partial answer that a client received; `loaded` is what a reload showed just after."""

    attempt: Attempt
    item_id: str
    seen: str
    loaded: str | None = None


@dataclass
class Swap:
    """A retry of unknown outcome, and the answers that it was to replace."""

    attempt: Attempt
    question_id: str
    old: set[str]


class Thread:
    """A thread, as its clients know it.

    Args:
        thread_id: its id.
        shared: whether two clients write into it; then nothing is retried.
    """

    def __init__(self, thread_id: str, *, shared: bool) -> None:
        self.id = thread_id
        self.shared = shared
        self.sure: dict[str, dict[str, Any]] = {}
        """Items whose `thread.item.done` was received."""
        self.maybe: set[str] = set()
        """Those that a retry may have replaced."""
        self.gone: set[str] = set()
        """Those whose `thread.item.removed` was received."""
        self.question: tuple[str, str] | None = None
        """The last confirmed message, id and text, if its answer may be retried."""
        self.answers: dict[str, bool] = {}
        """The answers to it, and whether each is certainly stored."""
        self.interruptions: list[Interruption] = []
        self.swaps: list[Swap] = []
        self.titles: list[str] = []
        """The titles that it may have."""
        self.accepted = 0
        self.unknown = 0
        self.open = 0
        self.free_since = 0.0
        self.log: list[str] = []

    def waited(self, asked: float, now: float) -> float:
        """Return for how many seconds a client was refused while nobody else used the thread."""
        return 0.0 if self.open else now - max(asked, self.free_since)

    def enter(self) -> None:
        """Record that a turn has begun."""
        self.open += 1

    def settle(self, attempt: Attempt, now: float) -> str | None:
        """Record how an attempt ended, and return what is wrong with it, or None."""
        if attempt.outcome == "refused":
            return None
        self.free_since = now
        if attempt.outcome == "unknown":
            self.unknown += 1
        elif attempt.outcome != "failed":
            self.accepted += 1
            self.open -= 1
        return self._settle_retry(attempt) if attempt.retry else self._settle_message(attempt)

    def _settle_message(self, attempt: Attempt) -> None:
        self.gone |= attempt.removed
        self.sure |= attempt.done
        questions = [name for name, item in attempt.done.items() if item["type"] == "user_message"]
        if questions and not self.shared:
            self.question, self.answers = (questions[0], attempt.question), {}
        self.answers |= dict.fromkeys(attempt.answers, True)
        for name, text in attempt.deltas.items():
            if name not in attempt.done:
                self.interruptions.append(Interruption(attempt, name, text))
                self.answers[name] = False

    def _settle_retry(self, attempt: Attempt) -> str | None:
        assert self.question is not None
        firm = {name for name, certain in self.answers.items() if certain}
        if attempt.outcome != "completed":
            self.swaps.append(Swap(attempt, self.question[0], firm))
            self.maybe |= self.answers.keys()
            self.question = None
            return None
        self.gone |= attempt.removed | self.answers.keys()
        self.sure = {name: item for name, item in self.sure.items() if name not in self.gone} | attempt.done
        self.answers = dict.fromkeys(attempt.answers, True)
        kept = firm - attempt.removed
        return f"a retry ended in order and did not remove {kept}" if kept else None


@dataclass
class Problem:
    """A violated invariant, and its thread."""

    thread: Thread | None
    text: str


class Journal:
    """Everything that the clients of a run received."""

    def __init__(self) -> None:
        self.threads: list[Thread] = []
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.sent: dict[str, Outcome] = {}
        """The outcome of each message."""
        self.todos: dict[str, str] = {}
        """Titles of the todos in answers, by id."""
        self.wishes: Counter[str] = Counter()
        """How often each todo was asked for, by title."""
        self.stuck = 0.0
        """The longest time for which a client was refused while nobody used the thread, in seconds."""
        self.loss = 0
        """The most tokens of one answer that a kill has cost."""
        self._began = time.monotonic()

    def start(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def note(self, thread: Thread | None, line: str) -> None:
        """Add a line to the log of a thread."""
        if thread is not None:
            thread.log.append(f"{self.now():8.3f} {line}")

    def problem(self, thread: Thread | None, text: str) -> None:
        """Record a problem."""
        self.problems.append(Problem(thread, text))
        self.note(thread, f"PROBLEM {text}")

    def begin(self, attempt: Attempt, *, shared: bool) -> None:
        """Record a thread that an attempt has created."""
        assert attempt.created is not None
        attempt.thread = Thread(attempt.created, shared=shared)
        attempt.thread.enter()
        self.threads.append(attempt.thread)

    def end(self, attempt: Attempt) -> None:
        """Record an attempt that has ended."""
        attempt.ended = time.monotonic()
        thread = attempt.thread
        self.counts[attempt.outcome] += 1
        self.counts["retries"] += attempt.retry and attempt.outcome != "refused"
        if not attempt.retry:
            self.sent[attempt.question] = attempt.outcome
        title = wished_by(attempt.question)
        if title is not None and attempt.outcome != "refused":
            self.wishes[title] += 1
        for item in attempt.answers.values():
            if (todo := todo_in(text_of(item))) is not None:
                self.todos[todo["id"]] = todo["title"]
        self.note(
            thread,
            f"{attempt.outcome} after {attempt.tokens} tokens, done {list(attempt.done)}, "
            f"seen {list(attempt.deltas)}, removed {sorted(attempt.removed)}",
        )
        fault = attempt.fault() if attempt.outcome == "completed" else None
        unexpected = thread.settle(attempt, self.now()) if thread is not None else None
        for text in (fault, unexpected):
            if text is not None:
                self.problem(thread, text)


def saying(thread: Thread | None, text: str, limit: int | None = None) -> Attempt:
    """Return an attempt to send a message to a thread, or to a new one."""
    if thread is None:
        return Attempt("threads.create", {"input": message(text)}, text, limit=limit)
    params = {"thread_id": thread.id, "input": message(text)}
    return Attempt("threads.add_user_message", params, text, thread, limit)


def retrying(thread: Thread, limit: int | None = None) -> Attempt:
    """Return an attempt to have the last message of a thread answered again."""
    assert thread.question is not None
    question_id, text = thread.question
    params = {"thread_id": thread.id, "item_id": question_id}
    return Attempt("threads.retry_after_item", params, text, thread, limit)
