"""The demo model: a program of a few rules that behaves like a model, for trying Chatrack out without a key."""
