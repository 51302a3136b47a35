"""A turn: what a request asks for, who handles it, and how what happens is stored and sent.

Nothing here knows of agents or of the server: a `TurnHandler` does the work, and sees only its `TurnSession`.
"""
