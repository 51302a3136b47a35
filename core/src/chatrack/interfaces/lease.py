"""The right to write into a thread."""

import msgspec

from chatrack.interfaces.user import User


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write into a thread, held by one turn at a time.

    Args:
        thread_id: the thread.
        turn_id: the turn that holds it.
        fence: grows with every acquisition; a write with the fence of an earlier acquisition is refused.
        user: whose thread it is.
        interrupted: the turn that held it before ended without releasing it: its process died.
    """

    thread_id: str
    turn_id: str
    fence: int
    user: User
    interrupted: bool = False
