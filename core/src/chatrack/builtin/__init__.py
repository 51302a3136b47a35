"""The plugins that come with Chatrack, registered through the same entry points as any other."""
