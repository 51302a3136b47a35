"""Errors of tools."""

from chatrack.errors.base import ChatrackError


class ToolError(ChatrackError):
    """A tool cannot do what the model asked for; the model reads the message and may try again or tell the user.

    Args:
        message: what is wrong and what would be right, in a sentence. It is sent to the model.
    """
