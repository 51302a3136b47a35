"""Errors of stores that refuse a turn."""

from chatrack.errors.base import ChatrackError


class TooManyTurns(ChatrackError):
    """The user has as many running turns as `max_turns` of `begin_turn` allows; nothing was stored."""
