"""Who trains, who selects, who reports: membership by a salted hash, so it never depends on row order."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from promotions.base.errors import InputError
from promotions.base.validation import require_share, require_whole

PARTS = ("train", "select", "final")
PROTOCOLS = ("holdout", "nested")


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


def assign_segments(
    clusters: Iterable[str], protocol: str, shares: Mapping[str, float], segments: int, salt: str
) -> tuple[NDArray[np.object_], NDArray[np.int8]]:
    """The part and the segment of each customer. Whatever is fitted for a segment sees earlier segments only.

    holdout: parts as ``assign_parts``; train is segment 0, select and final are segment 1: one round of fitting.
    nested: ``segments`` equal segments, and a round of fitting for each but the first. Segment 0 only trains, segment 1
    selects (and trains later ones), every later segment reports, so that (segments − 2)/segments of all customers do.
    Source: sequential validation, Wager (2024), "Sequential validation of treatment heterogeneity".

    Customers of one cluster stay together. Raises InputError.
    """
    if protocol == "holdout":
        part = assign_parts(clusters, shares, salt)
        return part, (part != "train").astype(np.int8)
    require_whole(segments, "split.segments", 3, 100)
    segment = (hash_uniform(clusters, f"{salt}/segment") * segments).astype(np.int8)
    return np.asarray(PARTS, dtype=object)[np.minimum(segment, 2)], segment


def assign_folds(clusters: Iterable[str], folds: int, salt: str) -> NDArray[np.int8]:
    """A fold 0 … folds − 1 for each customer; customers of one cluster stay together. Raises InputError."""
    require_whole(folds, "split.folds", 2, 100)
    return (hash_uniform(clusters, f"{salt}/fold") * folds).astype(np.int8)
