"""The lease of a thread."""

import msgspec

from chatrack.interfaces.user import User


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write to a thread. One turn at a time holds it.

    Args:
        thread_id: the thread.
        turn_id: the turn that holds the lease.
        fence: a number that grows with every acquisition. A write with a smaller fence than the latest is refused.
        user: the owner of the thread.
        interrupted: whether the previous turn died without returning its lease.
    """

    thread_id: str
    turn_id: str
    fence: int
    user: User
    interrupted: bool = False
