"""The ChatKit server and the turn."""

from chatrack.server.chatkit_server import ChatrackServer
from chatrack.server.subscriber import Subscriber
from chatrack.server.turns import Turns

__all__ = ["ChatrackServer", "Subscriber", "Turns"]
