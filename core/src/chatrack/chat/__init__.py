"""The ChatKit server and the turn."""

from chatrack.chat.server import ChatrackServer
from chatrack.chat.turns.channel import Subscriber
from chatrack.chat.turns.manager import Turns

__all__ = ["ChatrackServer", "Subscriber", "Turns"]
