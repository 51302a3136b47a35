"""A digest of the rows of a table that does not depend on their order."""

import hashlib
from collections.abc import Sequence

import msgspec

from chatrack.sql.copying.batches import Row

_ENCODER = msgspec.json.Encoder(order="deterministic")
_MODULUS = 2**256


class Digest(msgspec.Struct, frozen=True):
    """A digest of the rows of a table.

    Args:
        rows: how many rows there are.
        sum: the sum of their hashes, which is the same for databases that sort text differently.
    """

    rows: int = 0
    sum: int = 0

    def add(self, rows: Sequence[Row]) -> "Digest":
        """Return the digest with more rows."""
        total = self.sum
        for row in rows:
            # JSON distinguishes None from "", True from 1 and the columns from each other.
            encoded = _ENCODER.encode(tuple(row))
            total += int.from_bytes(hashlib.sha256(encoded).digest(), "big")
        return Digest(self.rows + len(rows), total % _MODULUS)
