"""Time limits of a model's answer."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits of one model call, in seconds.

    Args:
        total: from the request to the end of the answer.
        first_token: from the request to the first token of text, reasoning or arguments, retries included.
        idle: between two chunks after the first token.
    """

    total: float = 600.0
    first_token: float = 120.0
    idle: float = 60.0
