"""Deletes the bytes of files whose records are gone, and files that nobody uses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from chatrack.clock import now, to_micros
from chatrack.errors import Unavailable
from chatrack.files.files import Files
from chatrack.interfaces import Store

INTERVAL = 30.0
"""Seconds between two looks at the queue."""

_UNUSED_AT_ONCE = 100
"""How many unused attachments are deleted in one transaction."""

_log = structlog.get_logger(source="chatrack.files")


@contextlib.asynccontextmanager
async def cleaning_up(files: Files, store: Store, orphan_ttl: int) -> AsyncIterator[None]:
    """Return a context in which deleted and unused files are removed, every now and then.

    Any number of processes may do so at the same time.

    Args:
        files: the files.
        store: has their records.
        orphan_ttl: seconds after which a file that no message has is deleted.
    """
    task = asyncio.create_task(_clean_up_forever(files, store, orphan_ttl), name="file cleanup")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def clean_up(files: Files, store: Store, orphan_ttl: int) -> None:
    """Delete what nobody uses and what is queued.

    Raises:
        Unavailable: the files or the store cannot be reached; what is left is done next time.
    """
    before = to_micros(now() - timedelta(seconds=orphan_ttl))
    while await store.delete_unused_attachments(before=before, limit=_UNUSED_AT_ONCE) == _UNUSED_AT_ONCE:
        pass
    deleted = await files.delete_queued()
    if deleted:
        _log.info("files deleted", files=deleted)


async def _clean_up_forever(files: Files, store: Store, orphan_ttl: int) -> None:
    is_able = True
    while True:
        try:
            await clean_up(files, store, orphan_ttl)
            is_able = True
        except Unavailable as error:
            if is_able:  # once for each outage
                _log.warning("files not deleted", reason=error.detail)
            is_able = False
        await asyncio.sleep(INTERVAL)
