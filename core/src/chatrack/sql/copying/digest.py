"""What is in a table, in two numbers that do not depend on the order of its rows."""

import hashlib
from collections.abc import Sequence

import msgspec

from chatrack.sql.copying.batches import Row

_ENCODER = msgspec.json.Encoder(order="deterministic")
_MODULUS = 2**256


class Digest(msgspec.Struct, frozen=True):
    """The contents of a table.

    Args:
        rows: how many there are.
        sum: the sum of their hashes, so that databases that order text differently agree.
    """

    rows: int = 0
    sum: int = 0

    def add(self, rows: Sequence[Row]) -> "Digest":
        """Give the digest with some rows more."""
        total = self.sum
        for row in rows:
            # JSON tells None from "", True from 1 and one column from the next; columns have one type each.
            encoded = _ENCODER.encode(tuple(row))
            total += int.from_bytes(hashlib.sha256(encoded).digest(), "big")
        return Digest(self.rows + len(rows), total % _MODULUS)
