"""`todo_tools`: a todo list for Chatrack, five tools and an agent."""

from chatrack_todo_tools.plugin import TodoToolsPlugin

__all__ = ["TodoToolsPlugin"]
