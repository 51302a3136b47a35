"""The interfaces that plugins implement, and the objects that they get."""

from chatrack.interfaces.actions import ActionCall, ActionHandler
from chatrack.interfaces.agents import AgentSpec
from chatrack.interfaces.api_keys import API_KEY_PREFIX, HASH_PATTERN, generate_api_key, hash_api_key
from chatrack.interfaces.auth import Access, Authenticator, TokenIssuer, bearer_token
from chatrack.interfaces.context import RequestContext, TurnContext
from chatrack.interfaces.files import FileStore, StoredFile, UploadTarget
from chatrack.interfaces.guardrails import (
    Guardrail,
    GuardrailContext,
    InputGuardrail,
    OutputGuardrail,
    Replace,
    Trip,
    TripStore,
    Verdict,
)
from chatrack.interfaces.keys import DeriveKey
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.loopback import host_of, is_loopback
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
from chatrack.interfaces.routes import Routes
from chatrack.interfaces.store import Store
from chatrack.interfaces.tools import Tool, ToolContext, function_tool
from chatrack.interfaces.user import LOCAL_USER, MAX_ID, User, is_id
from chatrack.interfaces.user_data import UserData, UserRecord

__all__ = [
    "API_KEY_PREFIX",
    "HASH_PATTERN",
    "LOCAL_USER",
    "MAX_ID",
    "Access",
    "ActionCall",
    "ActionHandler",
    "AgentSpec",
    "Authenticator",
    "DeriveKey",
    "FileStore",
    "Guardrail",
    "GuardrailContext",
    "InputGuardrail",
    "ItemRecord",
    "Lease",
    "Migrations",
    "Model",
    "ModelProvider",
    "ModelSettings",
    "OutputGuardrail",
    "PauseRecord",
    "RecordPage",
    "Replace",
    "RequestContext",
    "Routes",
    "Store",
    "StoredFile",
    "ThreadPage",
    "ThreadRecord",
    "TokenIssuer",
    "Tool",
    "ToolContext",
    "Transcriber",
    "Trip",
    "TripStore",
    "TurnContext",
    "UploadTarget",
    "UsageRecord",
    "User",
    "UserData",
    "UserRecord",
    "Verdict",
    "bearer_token",
    "function_tool",
    "generate_api_key",
    "hash_api_key",
    "host_of",
    "is_id",
    "is_loopback",
]
