"""What `chatkit.store.Store` says about its methods, over every kind of database.

Written from the docstrings and types of chatkit alone: code that was made for ChatKit's own interface works with a
`SQLStore`, its errors included.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    ActiveStatus,
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    ClosedStatus,
    FileAttachment,
    HiddenContextItem,
    ImageAttachment,
    InferenceOptions,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)

from chatrack.interfaces import RequestContext, User
from chatrack.sql import Database, SQLStore
from tests.support.databases import KINDS, new_store_database

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module", params=KINDS)
def url(request, tmp_path_factory) -> Iterator[str]:
    """One database of each kind for all tests; each test has a user of its own."""
    with new_store_database(request.param, tmp_path_factory.mktemp("chatkit")) as made:
        yield made


@pytest.fixture
async def store(url) -> AsyncIterator[Store]:
    store = SQLStore(Database(url))
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def context(request) -> RequestContext:
    return RequestContext(user=User(id=request.node.name[:200]), request_id="req_test")


class Threads:
    """Makes threads and items with the store's own ids, as a ChatKit server does.

    Args:
        store: the store under test.
        context: the context of all requests.
    """

    def __init__(self, store: Store, context: RequestContext) -> None:
        self.store = store
        self.context = context

    async def save(self, **fields) -> ThreadMetadata:
        """Store a new thread."""
        values = {"id": self.store.generate_thread_id(self.context), "created_at": NOON, **fields}
        thread = ThreadMetadata(**values)
        await self.store.save_thread(thread, self.context)
        return thread

    def answer(self, thread: ThreadMetadata, text: str, **fields) -> AssistantMessageItem:
        """Make an answer; it is not stored."""
        values = {
            "id": self.store.generate_item_id("message", thread, self.context),
            "thread_id": thread.id,
            "created_at": NOON,
            "content": [AssistantMessageContent(text=text)],
            **fields,
        }
        return AssistantMessageItem(**values)

    async def add(self, thread: ThreadMetadata, *items: ThreadItem) -> None:
        """Store new items, in this order."""
        for item in items:
            await self.store.add_thread_item(thread.id, item, self.context)

    async def items(self, thread: ThreadMetadata, *, after=None, limit=100, order="asc"):
        """Load a page of items."""
        return await self.store.load_thread_items(thread.id, after, limit, order, self.context)


@pytest.fixture
def threads(store, context) -> Threads:
    return Threads(store, context)


def texts(items) -> list[str]:
    return [item.content[0].text for item in items]


def test_every_method_of_chatkits_interface_is_tried():
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f"store.{method}" in source for method in Store.__abstractmethods__)


# -- ids -----------------------------------------------------------------------------------------------


def test_generated_ids_differ_and_tell_threads_from_items(store, context):
    thread = ThreadMetadata(id=store.generate_thread_id(context), created_at=NOON)
    kinds = ("message", "tool_call", "task", "workflow", "attachment", "sdk_hidden_context")
    ids = [store.generate_item_id(kind, thread, context) for kind in kinds for _ in range(50)]
    ids += [store.generate_thread_id(context) for _ in range(50)]
    assert len(set(ids)) == len(ids)
    assert len({generated.partition("_")[0] for generated in ids}) == len(kinds) + 1


# -- threads -------------------------------------------------------------------------------------------


async def test_a_saved_thread_is_loaded_as_it_was(threads, store, context):
    thread = await threads.save(
        title="Ünïcödé 😀", status=ActiveStatus(), metadata={"nested": {"list": [1, None, "x"]}}
    )
    assert await store.load_thread(thread.id, context) == thread


async def test_a_thread_without_a_title_has_none(threads, store, context):
    thread = await threads.save()
    assert (await store.load_thread(thread.id, context)).title is None


async def test_saving_a_thread_again_replaces_title_status_and_metadata(threads, store, context):
    thread = await threads.save(title="old", metadata={"a": 1})
    changed = thread.model_copy(
        update={"title": "new", "status": ClosedStatus(reason="done"), "metadata": {"b": 2}}
    )
    await store.save_thread(changed, context)
    assert await store.load_thread(thread.id, context) == changed
    page = await store.load_threads(10, None, "asc", context)
    assert page.data == [changed]


async def test_saving_a_thread_again_keeps_its_items(threads, store, context):
    thread = await threads.save()
    await threads.add(thread, threads.answer(thread, "one"))
    await store.save_thread(thread.model_copy(update={"title": "new"}), context)
    assert texts((await threads.items(thread)).data) == ["one"]


async def test_a_missing_thread_is_not_found(store, context):
    for method in (store.load_thread, store.delete_thread):
        with pytest.raises(NotFoundError):
            await method("thr_missing", context)


async def test_a_deleted_thread_is_not_found_and_its_items_are_gone(threads, store, context):
    thread, other = await threads.save(), await threads.save()
    item = threads.answer(thread, "one")
    await threads.add(thread, item)
    await threads.add(other, threads.answer(other, "other"))
    await store.delete_thread(thread.id, context)
    with pytest.raises(NotFoundError):
        await store.load_thread(thread.id, context)
    with pytest.raises(NotFoundError):
        await store.load_item(thread.id, item.id, context)
    with pytest.raises(NotFoundError):
        await threads.items(thread)
    assert [left.id for left in (await store.load_threads(10, None, "asc", context)).data] == [other.id]
    assert texts((await threads.items(other)).data) == ["other"]


# -- pages of threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_threads_are_paged_by_creation_in_either_order(threads, store, context, order, limit):
    created = [await threads.save(created_at=NOON + timedelta(minutes=minute)) for minute in (2, 0, 4, 1, 3)]
    expected = sorted(created, key=lambda thread: thread.created_at, reverse=order == "desc")
    found, after = [], None
    while True:
        page = await store.load_threads(limit, after, order, context)
        assert len(page.data) <= limit
        found += page.data
        if not page.has_more:
            break
        after = page.after
        assert after == page.data[-1].id
    assert found == expected


async def test_a_user_without_threads_has_an_empty_page(store, context):
    page = await store.load_threads(10, None, "desc", context)
    assert (page.data, page.has_more, page.after) == ([], False, None)


async def test_a_page_of_threads_after_a_missing_one_is_not_found(threads, store, context):
    await threads.save()
    with pytest.raises(NotFoundError):
        await store.load_threads(10, "thr_missing", "asc", context)


# -- items ---------------------------------------------------------------------------------------------


async def test_items_of_several_types_are_loaded_as_they_were(threads, store, context):
    thread = await threads.save()
    attachment = FileAttachment(
        id=store.generate_item_id("attachment", thread, context), name="a", mime_type="b"
    )
    await store.save_attachment(attachment, context)
    items = [
        UserMessageItem(
            id=store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=NOON,
            content=[UserMessageTextContent(text="question 😀")],
            attachments=[attachment],
            quoted_text="a quote",
            inference_options=InferenceOptions(model="m"),
        ),
        threads.answer(thread, "answer\n\ttext"),
    ]
    await threads.add(thread, *items)
    assert (await threads.items(thread)).data == items
    for item in items:
        assert await store.load_item(thread.id, item.id, context) == item


async def test_items_are_in_the_order_in_which_they_were_added(threads):
    thread = await threads.save()
    moments = [NOON, NOON - timedelta(days=1), NOON, NOON + timedelta(days=1), NOON]
    items = [threads.answer(thread, str(number), created_at=moment) for number, moment in enumerate(moments)]
    await threads.add(thread, *items)
    assert texts((await threads.items(thread)).data) == list("01234")
    assert texts((await threads.items(thread, order="desc")).data) == list("43210")


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 4, 7, 8])
async def test_items_are_paged_after_the_last_one_of_the_page_before(threads, order, limit):
    thread = await threads.save()
    await threads.add(thread, *(threads.answer(thread, str(number)) for number in range(7)))
    expected = list("0123456") if order == "asc" else list("6543210")
    found, after = [], None
    while True:
        page = await threads.items(thread, after=after, limit=limit, order=order)
        assert len(page.data) <= limit
        found += texts(page.data)
        if not page.has_more:
            break
        assert len(page.data) == limit
        after = page.after
        assert after == page.data[-1].id
    assert found == expected


async def test_a_page_after_the_last_item_is_empty(threads):
    thread = await threads.save()
    item = threads.answer(thread, "one")
    await threads.add(thread, item)
    page = await threads.items(thread, after=item.id)
    assert (page.data, page.has_more) == ([], False)


async def test_a_thread_without_items_has_an_empty_page(threads):
    page = await threads.items(await threads.save())
    assert (page.data, page.has_more, page.after) == ([], False, None)


async def test_pages_of_items_of_a_missing_thread_or_after_a_missing_item_are_not_found(
    threads, store, context
):
    thread = await threads.save()
    with pytest.raises(NotFoundError):
        await store.load_thread_items("thr_missing", None, 10, "asc", context)
    with pytest.raises(NotFoundError):
        await threads.items(thread, after="msg_missing")


async def test_a_missing_item_is_not_found(threads, store, context):
    thread, other = await threads.save(), await threads.save()
    item = threads.answer(other, "other")
    await threads.add(other, item)
    for thread_id, item_id in ((thread.id, "msg_missing"), (thread.id, item.id), ("thr_missing", item.id)):
        with pytest.raises(NotFoundError):
            await store.load_item(thread_id, item_id, context)


async def test_an_item_of_a_missing_thread_is_not_stored(store, context, threads):
    thread = ThreadMetadata(id="thr_missing", created_at=NOON)
    for method in (store.add_thread_item, store.save_item):
        with pytest.raises(NotFoundError):
            await method(thread.id, threads.answer(thread, "lost"), context)


async def test_saving_an_item_again_replaces_it_in_its_place(threads, store, context):
    thread = await threads.save()
    items = [threads.answer(thread, text) for text in ("one", "two", "three")]
    await threads.add(thread, *items)
    changed = items[1].model_copy(update={"content": [AssistantMessageContent(text="changed")]})
    await store.save_item(thread.id, changed, context)
    assert texts((await threads.items(thread)).data) == ["one", "changed", "three"]
    assert await store.load_item(thread.id, changed.id, context) == changed


async def test_saving_an_item_that_is_not_there_adds_it(threads, store, context):
    thread = await threads.save()
    await threads.add(thread, threads.answer(thread, "one"))
    await store.save_item(thread.id, threads.answer(thread, "two"), context)
    assert texts((await threads.items(thread)).data) == ["one", "two"]


async def test_a_deleted_item_is_gone_and_the_others_stay(threads, store, context):
    thread = await threads.save()
    items = [threads.answer(thread, text) for text in ("one", "two", "three")]
    await threads.add(thread, *items)
    await store.delete_thread_item(thread.id, items[1].id, context)
    assert texts((await threads.items(thread)).data) == ["one", "three"]
    with pytest.raises(NotFoundError):
        await store.load_item(thread.id, items[1].id, context)
    with pytest.raises(NotFoundError):
        await store.delete_thread_item("thr_missing", items[0].id, context)


async def test_hidden_context_is_loaded_by_its_id(threads, store, context):
    thread = await threads.save()
    hidden = HiddenContextItem(
        id=store.generate_item_id("message", thread, context),
        thread_id=thread.id,
        created_at=NOON,
        content="what the user clicked",
    )
    await threads.add(thread, hidden)
    assert await store.load_item(thread.id, hidden.id, context) == hidden


# -- attachments ---------------------------------------------------------------------------------------


def file(store: Store, context: RequestContext, **fields) -> Attachment:
    thread = ThreadMetadata(id="thr_1", created_at=NOON)
    attachment_id = store.generate_item_id("attachment", thread, context)
    return FileAttachment(id=attachment_id, name="a.txt", mime_type="text/plain", **fields)


async def test_a_saved_attachment_is_loaded_as_it_was(store, context):
    attachments = [
        file(store, context),
        file(store, context, metadata={"size": 3}),
        ImageAttachment(
            id=file(store, context).id,
            name="ü.png",
            mime_type="image/png",
            preview_url="https://files.example/ü.png",
        ),
    ]
    for attachment in attachments:
        await store.save_attachment(attachment, context)
    for attachment in attachments:
        assert await store.load_attachment(attachment.id, context) == attachment


async def test_saving_an_attachment_again_replaces_it(store, context):
    attachment = file(store, context)
    await store.save_attachment(attachment, context)
    renamed = attachment.model_copy(update={"name": "b.txt"})
    await store.save_attachment(renamed, context)
    assert await store.load_attachment(attachment.id, context) == renamed


async def test_a_missing_attachment_is_not_found(store, context):
    for method in (store.load_attachment, store.delete_attachment):
        with pytest.raises(NotFoundError):
            await method("atc_missing", context)


async def test_a_deleted_attachment_is_not_found_and_others_stay(store, context):
    gone, kept = file(store, context), file(store, context)
    for attachment in (gone, kept):
        await store.save_attachment(attachment, context)
    await store.delete_attachment(gone.id, context)
    with pytest.raises(NotFoundError):
        await store.load_attachment(gone.id, context)
    assert await store.load_attachment(kept.id, context) == kept
