"""The agent that answers: history, model input, events and usage of one run."""
