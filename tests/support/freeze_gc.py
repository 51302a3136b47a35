"""Imported last by the process that servers fork from: excludes what exists by then from garbage collection.

It never becomes garbage, and collections in the children need not look at it again and again.
"""

import gc

gc.collect()
gc.freeze()
