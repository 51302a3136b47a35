"""``python -m bench.limits``: what `[limits]` cost, with every limit set and never reached.

``python -m bench.limits redis://127.0.0.1:6379`` counts in Redis; that is not what the target is for, because each request then
waits for another server.
"""

from __future__ import annotations

import sys

from bench.pair import compare

_LIMITS = """
[limits]
requests = 1000000
address_requests = 1000000
turns_per_user = 1000000
threads_per_hour = 1000000
tokens_per_day = 1000000000000
tenant_tokens_per_day = 1000000000000
"""


def _limit(config: str) -> str:
    storage = f'storage = "{sys.argv[1]}"\n' if len(sys.argv) > 1 else ""
    return f"{config}{_LIMITS}{storage}"


if __name__ == "__main__":
    sys.exit(compare(_limit))
