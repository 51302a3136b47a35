"""Tools whose calls are in the audit log."""

import copy
from typing import Any

from agents import FunctionTool
from agents.tool_context import ToolContext

from chatrack import audit
from chatrack.interfaces import Tool, TurnContext


def audited(tool: Tool, address: str) -> Tool:
    """Return the tool so that each of its calls is recorded. A tool that runs at the provider is returned as it is.

    Args:
        tool: the tool.
        address: its address.
    """
    if not isinstance(tool, FunctionTool):
        return tool
    invoke = tool.on_invoke_tool

    async def invoke_and_record(context: ToolContext[TurnContext], arguments: str) -> Any:
        turn = context.context
        audit.record(
            "tool_called",
            tenant=turn.user.tenant_id,
            user=turn.user.id,
            address=turn.request.address,
            request_id=turn.request.request_id,
            tool=address,
            thread=turn.thread.id,
            turn=turn.turn_id,
        )
        return await invoke(context, arguments)

    recorded = copy.copy(tool)
    recorded.on_invoke_tool = invoke_and_record
    return recorded
