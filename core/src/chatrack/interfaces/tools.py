"""Tools of the Agents SDK, and the decorator that makes them."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias, overload

import agents
import structlog
from agents.exceptions import ModelBehaviorError
from agents.function_schema import function_schema
from pydantic import ValidationError

from chatrack.errors import ToolError
from chatrack.interfaces.context import TurnContext

Tool: TypeAlias = agents.Tool
"""Any tool of the Agents SDK. Most are made by `function_tool`."""

ToolContext: TypeAlias = agents.tool_context.ToolContext[TurnContext]
"""The type of the first argument of a tool that needs the turn; `.context` is the `TurnContext`."""

_log = structlog.get_logger(source="chatrack.tools")


@overload
def function_tool(func: Callable[..., Any], /, **options: Any) -> agents.FunctionTool: ...
@overload
def function_tool(
    func: None = None, /, **options: Any
) -> Callable[[Callable[..., Any]], agents.FunctionTool]: ...
def function_tool(
    func: Callable[..., Any] | None = None, /, **options: Any
) -> agents.FunctionTool | Callable[[Callable[..., Any]], agents.FunctionTool]:
    """Make a tool from a typed function. Its signature becomes the schema and its docstring the description.

    This is the Agents SDK's decorator of the same name, with errors that a model can act on. A `ToolError` is reported
    with its message, wrong arguments with their names and what was expected. Any other exception is logged, and the
    model reads only that the tool failed.

    Args:
        func: the function, if the decorator is used without parentheses.
        options: the options of `agents.function_tool`.
    """

    def build(function: Callable[..., Any]) -> agents.FunctionTool:
        arguments = {"failure_error_function": _explainer(function), **options}
        tool: agents.FunctionTool = agents.function_tool(function, **arguments)
        return tool

    return build if func is None else build(func)


def _explainer(function: Callable[..., Any]) -> Callable[[Any, Exception], str]:
    def explain(context: Any, error: Exception) -> str:
        if isinstance(error, ToolError):
            return f"Error: {error}"
        if isinstance(error, ModelBehaviorError):
            return f"Error: {_argument_mistakes(function, getattr(context, 'tool_arguments', ''))}"
        _log.error("tool failed", tool=getattr(context, "tool_name", function.__name__), exc_info=error)
        return "Error: the tool failed. Do not try again; tell the user."

    return explain


def _argument_mistakes(function: Callable[..., Any], arguments: str) -> str:
    # The SDK does not show the details of a validation error to the model, because they may contain user data. But the
    # model wrote these arguments, and needs to know what is wrong with them.
    try:
        values = json.loads(arguments) if arguments else {}
    except ValueError:
        return "the arguments are not valid JSON."
    if not isinstance(values, dict):
        return "the arguments must be a JSON object."
    schema = function_schema(function, strict_json_schema=False)
    try:
        schema.params_pydantic_model(**values)
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(str(part) for part in mistake['loc']) or 'arguments'}: {mistake['msg']}"
            for mistake in error.errors(include_url=False, include_input=False)
        )
    return "the arguments do not fit the tool's schema."
