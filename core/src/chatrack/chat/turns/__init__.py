"""A turn: the request, its handler, the writer of what happens, and all turns of this process."""
