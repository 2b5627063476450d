"""Who trains, who selects, who reports: membership by a salted hash, so it never depends on row order."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from promotions.errors import InputError
from promotions.validation import require_share, require_whole

PARTS = ("train", "select", "final")


def clusters_of(customer_id: Iterable[str], cluster_id: Iterable[str] | None) -> NDArray[np.object_]:
    """The unit that is never divided: the cluster (a household) where there is one, else the customer."""
    return np.asarray(list(customer_id if cluster_id is None else cluster_id), dtype=object)


def hash_uniform(ids: Iterable[str], salt: str) -> NDArray[np.float64]:
    """A number in [0, 1) for each id, a function of id and salt alone (BLAKE2b, 8 bytes)."""
    key = blake2b(salt.encode(), digest_size=32).digest()
    digests = b"".join(blake2b(str(name).encode(), digest_size=8, key=key).digest() for name in ids)
    # The upper 53 bits: all that a double can hold, and never rounded up to 1.
    return (np.frombuffer(digests, dtype=">u8") >> np.uint64(11)).astype(np.float64) / 2.0**53


def assign_parts(clusters: Iterable[str], shares: Mapping[str, float], salt: str) -> NDArray[np.object_]:
    """``train``, ``select`` or ``final`` for each customer; customers of one cluster stay together.

    shares: expected share of clusters a part; must be positive and sum to 1. Raises InputError.
    """
    if set(shares) != set(PARTS):
        raise InputError(
            f"split.shares: expected the keys {', '.join(PARTS)}, got {', '.join(map(str, shares)) or 'none'}"
        )
    for part in PARTS:
        require_share(shares[part], f"split.shares.{part}", below_one=True)
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise InputError(f"split.shares: the shares sum to {sum(shares.values()):g}; expected 1")
    edges = np.cumsum([shares[part] for part in PARTS])[:-1]
    position = np.searchsorted(edges, hash_uniform(clusters, f"{salt}/part"), side="right")
    return np.asarray(PARTS, dtype=object)[position]


def assign_folds(clusters: Iterable[str], folds: int, salt: str) -> NDArray[np.int8]:
    """A fold 0 … folds − 1 for each customer; customers of one cluster stay together. Raises InputError."""
    require_whole(folds, "split.folds", 2, 100)
    return (hash_uniform(clusters, f"{salt}/fold") * folds).astype(np.int8)
