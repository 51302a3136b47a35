"""Checks of what is stored at the end of a run."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Row

from tests.chaos.attempt import is_begun, is_whole, tokens
from tests.chaos.journal import Interruption, Journal, Swap, Thread
from tests.chaos.stored import Stored
from tests.support.serving import Chat, text_of

Items = Sequence[dict[str, Any]]


async def check(journal: Journal, stored: Stored, chat: Chat, *, loss: int, settled: float) -> list[str]:
    """Compare what is stored with what clients received, and record problems in the journal.

    Args:
        journal: what clients received.
        stored: the rows of the database.
        chat: a client of a server that has just started.
        loss: how many tokens of an answer a kill may cost.
        settled: seconds after which a living server has stored what its client had seen when it hung up.

    Returns:
        What was checked.
    """
    shown: Counter[str] = Counter()
    for thread in journal.threads:
        items = await chat.items(thread.id)
        loaded = await chat.get("threads.get_by_id", thread_id=thread.id)
        shown.update(text_of(item) for item in items if item["type"] == "user_message")
        rows = stored.items[thread.id]
        found = [
            *_acknowledged(thread, items),
            *(problem for swap in thread.swaps for problem in _swapped(swap, items)),
            *(
                problem
                for interruption in thread.interruptions
                for problem in _kept(journal, thread, interruption, items, loss, settled)
            ),
            *_answered(items),
            *_rows(rows, items),
            *_turns(rows),
            *_lease(thread, stored.leases[thread.id]),
        ]
        if thread.titles and loaded["title"] not in thread.titles:
            found.append(f"it is called {loaded['title']!r}, and was renamed {thread.titles}")
        for problem in found:
            journal.problem(thread, problem)
    for problem in (*_messages(journal, shown), *_todos(journal, stored)):
        journal.problem(None, problem)
    return [
        f"{sum(len(thread.sure) for thread in journal.threads)} confirmed items are as they were confirmed",
        f"{sum(map(len, stored.items.values()))} rows lie turn by turn, and the API shows them",
        f"{len(journal.todos)} confirmed todos are there",
    ]


def _acknowledged(thread: Thread, items: Items) -> Iterator[str]:
    stored = {item["id"]: item for item in items}
    if len(stored) != len(items):
        yield "an item is shown twice"
    for name, item in thread.sure.items():
        if name in stored and stored[name] != item:
            yield f"{name} was confirmed as {item}, and is {stored[name]}"
        elif name not in stored and name not in thread.maybe and name not in thread.gone:
            yield f"{name} was confirmed and is lost: {item}"
    for name in thread.gone & stored.keys():
        yield f"{name} was removed and is still there"


def _swapped(swap: Swap, items: Items) -> Iterator[str]:
    there = [item["id"] for item in items]
    if swap.question_id not in there:
        yield f"the message {swap.question_id} that was retried is lost"
        return
    left = swap.old.intersection(there)
    new = swap.attempt.deltas.keys() | swap.attempt.answers.keys()
    if left == swap.old and left:
        if new.intersection(there):
            yield f"a retry left {new} beside the old answer {left}"
    elif left:
        yield f"a retry removed a part of the old answer: {swap.old - left} of {swap.old}"
    elif swap.old or new.intersection(there):
        following = items[there.index(swap.question_id) + 1 :]
        answer = next((item for item in following if item["type"] == "assistant_message"), None)
        if answer is None or not is_whole(text_of(answer), swap.attempt.question):
            yield f"a retry removed {swap.old}, and its answer is {answer}"


def _kept(
    journal: Journal,
    thread: Thread,
    interruption: Interruption,
    items: Items,
    loss: int,
    settled: float,
) -> Iterator[str]:
    """Yield what is lost of a partial answer, beyond what a kill may cost."""
    texts = {item["id"]: text_of(item) for item in items if item["type"] == "assistant_message"}
    removable = interruption.item_id in thread.gone or interruption.item_id in thread.maybe
    text = texts.get(interruption.item_id, (interruption.loaded or "") if removable else "")
    if removable and interruption.loaded is None and interruption.item_id not in texts:
        return
    if interruption.loaded is not None and not text.startswith(interruption.loaded):
        yield f"{interruption.item_id} was {interruption.loaded!r} after its server's death, and is {text!r}"
    if not interruption.seen.startswith(text) and not text.startswith(interruption.seen):
        yield f"{interruption.item_id} was seen as {interruption.seen!r}, and is {text!r}"
    lost = tokens(interruption.seen) - tokens(text)
    assert interruption.attempt.server is not None
    died = interruption.attempt.server.killed_at
    if died is None or died > interruption.attempt.ended + settled:
        if lost > 0:
            yield f"{interruption.item_id} lost {lost} tokens though its server lived: {interruption.seen!r}, {text!r}"
        return
    journal.loss = max(journal.loss, lost)
    if lost > loss:
        yield f"{interruption.item_id} lost {lost} tokens: {interruption.seen!r}, {text!r}"


def _answered(items: Items) -> Iterator[str]:
    """Yield items that do not answer the message before them."""
    question = ""
    for item in items:
        if item["type"] == "user_message":
            question = text_of(item)
        elif item["type"] == "workflow":
            continue  # what was done on the way to the answer
        elif item["type"] != "assistant_message" or not is_begun(text_of(item), question):
            yield f"{question!r} is followed by {item}"


def _rows(rows: Sequence[Row[Any]], items: Items) -> Iterator[str]:
    if left := [row.id for row in rows if row.uncommitted]:
        yield f"of retries that are over there is left {left}"
    if [json.loads(row.data) for row in rows if not row.hidden and not row.uncommitted] != list(items):
        yield f"the API shows {[item['id'] for item in items]}, the rows are others"


def _turns(rows: Sequence[Row[Any]]) -> Iterator[str]:
    """Yield turns whose items are not contiguous: message, answers, and markers at the ends.

    A takeover's marker begins the turn that took over. A retry's answer lies apart from its message.
    """
    turns = [(turn_id, list(group)) for turn_id, group in groupby(rows, key=lambda row: row.turn_id)]
    for turn_id, count in Counter(turn_id for turn_id, _ in turns).items():
        if count > 1 or turn_id is None:
            yield f"the items of turn {turn_id} lie in {count} places"
    for turn_id, group in turns:
        types = [row.type for row in group]
        if types[0] == "sdk_hidden_context" and len(types) > 1:
            types = types[1:]
        if types[-1] == "sdk_hidden_context":
            types = types[:-1]
        if "sdk_hidden_context" in types or "user_message" in types[1:]:
            yield f"turn {turn_id} is {[row.type for row in group]}"


def _lease(thread: Thread, lease: Row[Any]) -> Iterator[str]:
    if lease.turn_id is not None:
        yield f"{lease.turn_id} still holds it"
    if not thread.accepted <= lease.fence <= thread.accepted + thread.unknown:
        yield f"its fence is {lease.fence} after {thread.accepted} turns and {thread.unknown} that may have been"


def _messages(journal: Journal, shown: Counter[str]) -> Iterator[str]:
    for text, count in shown.items():
        if count > 1 or text not in journal.sent or journal.sent[text] == "refused":
            yield f"the message {text!r} was {journal.sent.get(text)}, and is there {count} times"


def _todos(journal: Journal, stored: Stored) -> Iterator[str]:
    for name, title in journal.todos.items():
        if stored.todos.get(name) != title:
            yield f"the todo {name} was confirmed as {title!r}, and is {stored.todos.get(name)!r}"
    for title, count in Counter(stored.todos.values()).items():
        if count > journal.wishes[title]:
            yield f"{title!r} was asked for {journal.wishes[title]} times, and is there {count} times"
