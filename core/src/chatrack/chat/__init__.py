"""The ChatKit server and the turn."""

from chatrack.chat.server import ChatrackServer
from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.manager import TurnManager

__all__ = ["ChatrackServer", "EventChannel", "TurnManager"]
