"""Contract tests of the files that are left when the records of attachments are deleted."""

import re

from chatkit.types import Attachment

from chatrack.clock import now, to_micros
from chatrack.ids import new_id
from chatrack.interfaces.store import Store
from chatrack.testing.factories import Chat, file

EVERYTHING = 1_000_000
"""A limit above what any store under test has."""


class DeletedFilesContract:
    """The queue of files that are to be deleted, and attachments that nobody uses."""

    async def test_files_are_queued_with_the_deletion_of_their_records(self, store: Store) -> None:
        chat = await Chat(store).save()
        alone, in_thread, kept = [await _save(store, chat) for _ in range(3)]
        await store.save_attachment(in_thread.model_copy(update={"thread_id": chat.id}), chat.context)
        await store.delete_attachment(alone.id, chat.context)
        assert await _queued(store, alone, in_thread, kept) == [alone.id]
        await store.delete_thread(chat.id, chat.context)
        assert await _queued(store, alone, in_thread, kept) == [alone.id, in_thread.id]

    async def test_files_stay_queued_until_they_are_forgotten(self, store: Store) -> None:
        chat = Chat(store)
        first, second = [await _save(store, chat) for _ in range(2)]
        for attachment in (first, second):
            await store.delete_attachment(attachment.id, chat.context)
        assert len(await store.deleted_files(limit=1)) == 1
        await store.forget_deleted_files([first.id, new_id("attachment")])
        await store.forget_deleted_files([])
        assert await _queued(store, first, second) == [second.id]

    async def test_the_record_of_a_deleted_file_can_be_saved_and_deleted_again(self, store: Store) -> None:
        chat = Chat(store)
        attachment = await _save(store, chat)
        for _ in range(2):
            await store.delete_attachment(attachment.id, chat.context)
            assert await _queued(store, attachment) == [attachment.id]
            await store.save_attachment(attachment, chat.context)

    async def test_attachments_that_no_thread_has_are_deleted_when_they_are_old(self, store: Store) -> None:
        chat = await Chat(store).save()
        used, unused = [await _save(store, chat) for _ in range(2)]
        await store.save_attachment(used.model_copy(update={"thread_id": chat.id}), chat.context)
        moment = to_micros(now()) + 1
        await store.delete_unused_attachments(before=0, limit=EVERYTHING)
        assert await store.load_attachment(unused.id, chat.context) == unused
        assert await store.delete_unused_attachments(before=moment, limit=EVERYTHING) >= 1
        assert await store.delete_unused_attachments(before=moment, limit=EVERYTHING) == 0
        assert await _queued(store, used, unused) == [unused.id]
        await store.load_attachment(used.id, chat.context)

    async def test_no_more_unused_attachments_are_deleted_at_once_than_asked_for(self, store: Store) -> None:
        chat = Chat(store)
        saved = [await _save(store, chat) for _ in range(3)]
        assert await store.delete_unused_attachments(before=to_micros(now()) + 1, limit=2) == 2
        await store.delete_unused_attachments(before=to_micros(now()) + 1, limit=EVERYTHING)
        assert await _queued(store, *saved) == sorted(attachment.id for attachment in saved)

    async def test_an_installation_has_one_id(self, store: Store) -> None:
        first = await store.installation_id()
        assert re.fullmatch("[0-9a-f]{32}", first)
        assert await store.installation_id() == first


async def _save(store: Store, chat: Chat) -> Attachment:
    attachment = file(attachment_id=new_id("attachment"))
    await store.save_attachment(attachment, chat.context)
    return attachment


async def _queued(store: Store, *attachments: Attachment) -> list[str]:
    """Return the ids of those attachments whose files are queued, sorted."""
    queued = set(await store.deleted_files(limit=EVERYTHING))
    return sorted(attachment.id for attachment in attachments if attachment.id in queued)
