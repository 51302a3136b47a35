"""The interfaces that plugins implement, and the objects that they get."""

from chatrack.interfaces.actions import ActionCall, ActionHandler
from chatrack.interfaces.agents import AgentSpec
from chatrack.interfaces.auth import Authenticator
from chatrack.interfaces.context import RequestContext, TurnContext
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.migrations import Migrations
from chatrack.interfaces.models import Model, ModelProvider, ModelSettings, Transcriber
from chatrack.interfaces.records import (
    ItemRecord,
    PauseRecord,
    RecordPage,
    ThreadPage,
    ThreadRecord,
    UsageRecord,
)
from chatrack.interfaces.store import Store
from chatrack.interfaces.tools import Tool, ToolContext, function_tool
from chatrack.interfaces.user import LOCAL_USER, User
from chatrack.interfaces.user_data import UserData, UserRecord

__all__ = [
    "LOCAL_USER",
    "ActionCall",
    "ActionHandler",
    "AgentSpec",
    "Authenticator",
    "ItemRecord",
    "Lease",
    "Migrations",
    "Model",
    "ModelProvider",
    "ModelSettings",
    "PauseRecord",
    "RecordPage",
    "RequestContext",
    "Store",
    "ThreadPage",
    "ThreadRecord",
    "Tool",
    "ToolContext",
    "Transcriber",
    "TurnContext",
    "UsageRecord",
    "User",
    "UserData",
    "UserRecord",
    "function_tool",
]
