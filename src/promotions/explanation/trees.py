"""Exact SHAP values of a sum of trees.

A leaf ℓ with value v is the game v(S) = v Π_{j∈S} a_j Π_{j∉S} r_j over the features j of its path: a_j is 1 if the
customer meets all of the path's conditions on j, else 0, and r_j is the share of the training customers that do, among
those who meet the conditions above (the product over the path's splits on j). That is path-dependent TreeSHAP; a tree
is the sum of its leaves' games. With the multilinear extension of Owen (1972) the Shapley value is an integral,

    φ_j = v (a_j − r_j) ∫₀¹ Π_{k≠j} (a_k t + r_k (1 − t)) dt,

of a polynomial, so that Gauss–Legendre quadrature gives it exactly. It depends on the customer only through the bits a:
each leaf has a table of at most 2^d patterns, d the number of features on its path, and each customer looks up one of
them.

Source: Lundberg et al. (2020), "From local explanations to global understanding with explainable AI for trees"; the
tables: Yang (2021), "Fast TreeSHAP". LightGBM's ``pred_contrib`` gives the same numbers, by a recursion for each
customer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promotions.base.parallel import run_side_by_side
from promotions.learners.fitted import Part, TreeSum

Floats = NDArray[np.float64]
# Customers in one task. Longer arrays overflow the processor's caches, shorter ones cost more calls than numbers.
CHUNK = 16_384
# Paths with more features get a table of the patterns that occur, not of all.
LONGEST_TABLE = 10
# Trees whose tables are in memory at a time.
BATCH = 32
# Bits of LightGBM's decision_type.
CATEGORIES, MISSING_IS_ZERO = 0b0001, 0b0100


@dataclass(frozen=True)
class Tree:
    """One tree as LightGBM numbers it: a negative node is the leaf ~node.

    left_share, right_share: the shares of a node's training customers that go left and right.
    """

    root: int
    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_share: Floats
    right_share: Floats
    leaf_value: Floats


@dataclass(frozen=True)
class Leaf:
    """A leaf's path: its features in the order of their first split, and r_j of each."""

    number: int
    features: tuple[int, ...]
    shares: tuple[float, ...]


def tree_shap(effect: TreeSum, features: Floats, threads: int = 1) -> tuple[Floats, float]:
    """SHAP values of ``effect`` for each customer, (n, p), and the base: their sum is τ(x), base + Σ_j φ_j(x).

    Where a part has a treatment (an S-learner), its trees are cut back to that treatment first: the result is a
    function of the features alone. Neither ``threads`` nor the order or number of customers changes a value.

    effect: additive (identity link).  features: (n, p) without NaN.  Raises ValueError if a tree splits on categories
    or treats zeros as missing: our encoders need neither.
    """
    if not effect.additive:
        raise ValueError("expected a sum of trees on the identity link; TreeSHAP explains no other")
    n, p = features.shape
    columns = np.ascontiguousarray(features.T)
    values = np.zeros((p, n))
    base = effect.intercept
    spans = [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]
    scaled = [(tree, factor) for part in effect.parts for tree, factor in _trees_of(part)]
    for start in range(0, len(scaled), BATCH):
        games = run_side_by_side([partial(_prepare, *each) for each in scaled[start : start + BATCH]], threads)
        base += sum(expectation for _, _, expectation in games)
        run_side_by_side([partial(_add, games, columns[:, span], values[:, span]) for span in spans], threads)
    return values.T, base


def work_of(effect: TreeSum, customers: int) -> int:
    """Look-ups that ``tree_shap`` would do: customers × the features of all paths; some 1.5 ns each on one thread."""
    paths = sum(
        len(leaf.features) + 2 for part in effect.parts for tree, _ in _trees_of(part) for leaf in _leaves(tree)
    )
    return customers * paths


Game = tuple[Tree, dict[int, tuple[Leaf, float, Floats | None]], float]


def _prepare(tree: Tree, factor: float) -> Game:
    """Each leaf's path, value and table, and the tree's expectation."""
    leaves: dict[int, tuple[Leaf, float, Floats | None]] = {}
    base = 0.0
    for leaf in _leaves(tree):
        value = factor * float(tree.leaf_value[leaf.number])
        base += value * float(np.prod(leaf.shares))
        depth = len(leaf.features)
        table = _shapley(np.arange(2**depth), leaf.shares, value) if 0 < depth <= LONGEST_TABLE else None
        leaves[leaf.number] = (leaf, value, table)
    return tree, leaves, base


def _shapley(patterns: NDArray[np.int64], shares: Sequence[float], value: float) -> Floats:
    """φ_j of the leaf's game for each pattern of bits, (d, patterns). Elementwise: no pattern depends on another."""
    d = len(shares)
    nodes, weights = np.polynomial.legendre.leggauss(-(-d // 2))
    nodes, weights = (nodes + 1) / 2, weights / 2
    r = np.array(shares)[:, None]
    met = (patterns >> np.arange(d)[:, None]) & 1
    integral = np.zeros((d, len(patterns)))
    for node, weight in zip(nodes, weights, strict=True):
        # Positive at every node, so that a factor can be divided out.
        factors = np.where(met, r + (1 - r) * node, r * (1 - node))
        integral += weight * factors.prod(axis=0) / factors
    return np.asarray(value * (met - r) * integral)


def _add(games: Sequence[Game], columns: Floats, values: Floats) -> None:
    """Add the trees' contributions to ``values`` (p, customers), a view; columns: (p, customers)."""
    contribution = np.empty(columns.shape[1])
    for tree, leaves, _ in games:
        # Down the tree: the features so far, and each customer's bits for them in a narrow integer.
        waiting: list[tuple[int, tuple[int, ...], Any]] = [(tree.root, (), np.zeros(columns.shape[1], dtype=np.uint8))]
        while waiting:
            node, path, bits = waiting.pop()
            if node < 0:
                leaf, value, table = leaves[~node]
                if not leaf.features:
                    continue
                if table is None:
                    patterns, places = np.unique(bits.astype(np.int64), return_inverse=True)
                    table = _shapley(patterns, leaf.shares, value)
                else:
                    places = bits.astype(np.intp)
                for row, feature in zip(table, leaf.features, strict=True):
                    # In range by construction; clipping is the fastest check.
                    np.take(row, places, out=contribution, mode="clip")
                    values[feature] += contribution
                continue
            feature = int(tree.feature[node])
            goes_left = columns[feature] <= tree.threshold[node]
            for child, meets in ((tree.left[node], goes_left), (tree.right[node], ~goes_left)):
                if feature in path:
                    place = path.index(feature)
                    fails = (~meets).astype(bits.dtype) << bits.dtype.type(place)
                    waiting.append((int(child), path, bits & ~fails))
                else:
                    place = len(path)
                    kind = np.uint8 if place < 8 else np.uint16 if place < 16 else np.uint64
                    new_bit = meets.astype(kind) << kind(place)
                    waiting.append((int(child), (*path, feature), bits.astype(kind, copy=False) | new_bit))


def _leaves(tree: Tree) -> list[Leaf]:
    """The leaves with their paths."""
    leaves: list[Leaf] = []
    waiting: list[tuple[int, dict[int, float]]] = [(tree.root, {})]
    while waiting:
        node, shares = waiting.pop()
        if node < 0:
            leaves.append(Leaf(~node, tuple(shares), tuple(shares.values())))
            continue
        feature = int(tree.feature[node])
        so_far = shares.get(feature, 1.0)
        waiting.append((int(tree.left[node]), shares | {feature: so_far * float(tree.left_share[node])}))
        waiting.append((int(tree.right[node]), shares | {feature: so_far * float(tree.right_share[node])}))
    return leaves


def _trees_of(part: Part) -> list[tuple[Tree, float]]:
    """The trees of a part, and what each is multiplied by in τ."""
    header, *blocks = part.booster.model_to_string(num_iteration=-1).split("\nTree=")
    # In LightGBM's mode ``rf`` the response is the mean of the trees.
    factor = part.weight / len(blocks) if "\naverage_output" in header else part.weight
    trees = [_read_tree(block) for block in blocks]
    if part.treatment is not None:
        trees = [_given(tree, part.features, part.treatment) for tree in trees]
    return [(tree, factor) for tree in trees]


def _read_tree(block: str) -> Tree:
    """A tree of LightGBM's text format."""
    fields = dict(line.split("=", 1) for line in block.split("\n\n")[0].splitlines()[1:])

    def whole(name: str) -> NDArray[np.int64]:
        return np.array(fields.get(name, "").split(), dtype=np.int64)

    def real(name: str) -> Floats:
        return np.array(fields.get(name, "").split(), dtype=np.float64)

    if (whole("decision_type") & (CATEGORIES | MISSING_IS_ZERO)).any() or fields["is_linear"] != "0":
        raise ValueError("expected trees that compare numbers and have constant leaves")
    left, right, inner, leaf = whole("left_child"), whole("right_child"), real("internal_count"), real("leaf_count")
    counts = np.concatenate([inner, leaf[::-1]])  # a leaf's negative number counts from the end
    return Tree(
        root=0 if len(inner) else -1,
        feature=whole("split_feature"),
        threshold=real("threshold"),
        left=left,
        right=right,
        left_share=counts[left] / inner,
        right_share=counts[right] / inner,
        leaf_value=real("leaf_value"),
    )


def _given(tree: Tree, feature: int, value: float) -> Tree:
    """The tree for customers whose ``feature`` is ``value``: without the splits on it and the unused branches."""

    def followed(node: int) -> int:
        while node >= 0 and tree.feature[node] == feature:
            node = int(tree.left[node] if value <= tree.threshold[node] else tree.right[node])
        return node

    left, right = (np.array([followed(int(node)) for node in side], dtype=np.int64) for side in (tree.left, tree.right))
    return replace(tree, root=followed(tree.root), left=left, right=right)
