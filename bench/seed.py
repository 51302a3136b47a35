"""ChatKit requests, and the threads that exist before reads are measured."""

from __future__ import annotations

from typing import Any

from bench.client import encode, events, fetch

THREADS = 100
MESSAGES = 12  # user messages in the thread that is read; with the answers it has twice as many items


def _input(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}}


def create_thread(path: str, text: str = "hi") -> bytes:
    """Return a request that creates a thread and gets an answer."""
    return encode(path, {"type": "threads.create", "params": {"input": _input(text)}})


def add_message(path: str, thread_id: str, text: str = "hi") -> bytes:
    """Return a request that adds a message to a thread and gets an answer."""
    params = {"thread_id": thread_id, "input": _input(text)}
    return encode(path, {"type": "threads.add_user_message", "params": params})


def list_threads(path: str) -> bytes:
    """Return a request for the newest 20 threads."""
    return encode(path, {"type": "threads.list", "params": {"limit": 20, "order": "desc"}})


def list_items(path: str, thread_id: str) -> bytes:
    """Return a request for the newest 20 items of a thread."""
    params = {"thread_id": thread_id, "limit": 20, "order": "desc"}
    return encode(path, {"type": "items.list", "params": params})


def get_thread(path: str, thread_id: str) -> bytes:
    """Return a request for a thread with its first items."""
    return encode(path, {"type": "threads.get_by_id", "params": {"thread_id": thread_id}})


async def seed(port: int, path: str, threads: int = THREADS) -> str:
    """Create threads through the API, and return the id of the longest one.

    Raises `RuntimeError` if an answer has no assistant's message.
    """
    thread_id = ""
    for number in range(threads):
        answer = events(await fetch(port, create_thread(path, f"hi {number}")))
        thread_id = next(event["thread"]["id"] for event in answer if event["type"] == "thread.created")
        _check(answer)
    for number in range(1, MESSAGES):
        _check(events(await fetch(port, add_message(path, thread_id, f"and {number}"))))
    return thread_id


def _check(answer: list[dict[str, Any]]) -> None:
    kinds = [event["item"]["type"] for event in answer if event["type"] == "thread.item.done"]
    if "assistant_message" not in kinds:
        raise RuntimeError(f"no answer while seeding: {answer[-1:]}")
