"""Imported last by the process that servers fork from: what is there now is there for good."""

import gc

# The children's garbage collections need not look at it again and again.
gc.collect()
gc.freeze()
