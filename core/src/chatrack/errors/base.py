"""The base of all errors."""


class ChatrackError(Exception):
    """The base of every error that Chatrack raises on purpose."""
