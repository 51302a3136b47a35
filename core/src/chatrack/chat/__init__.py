"""The chat: ChatKit's requests, turns and agents."""

from chatrack.chat.server import ChatrackServer

__all__ = ["ChatrackServer"]
