"""The chat: ChatKit's requests, turns and agents."""
