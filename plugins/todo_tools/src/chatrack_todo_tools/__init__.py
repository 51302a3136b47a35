"""`todo_tools`: todo lists for Chatrack, with five tools and an agent."""

from chatrack_todo_tools.plugin import TodoToolsPlugin

__all__ = ["TodoToolsPlugin"]
