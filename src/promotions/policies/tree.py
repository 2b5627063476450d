"""The best of all shallow trees that decide whom to treat: a rule that fits in one sentence.

Zhou, Athey & Wager (2023), "Offline multi-action policy learning: generalization and optimization", Operations Research
71(1), maximise doubly robust scores over trees exactly (R's ``policytree``): a greedy tree does not see two features
that only matter together. Here the search goes over tables instead of sorted rows. Features are binned; the sums of
gain over bin × bin of every pair of features then determine what every tree of depth 2 earns, whatever the number of
rows.

    tree = fit_policy_tree(features, gain, ["age", "express points spent"], depth=2)
    tree.sentence()  # "treat if age ≥ 45 and express points spent < −0.6"
    treat = tree.decide(new_features)
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from itertools import combinations_with_replacement
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promotions.base.encoding import LARGEST
from promotions.base.errors import InputError
from promotions.base.formatting import as_label
from promotions.base.validation import require_keys, require_whole
from promotions.policies.audience import Audience
from promotions.policies.family import Family, Training
from promotions.policies.rule import Bools, Effects, Reasons, Rule

Floats = NDArray[np.float64]

# A bin's code fits in one byte.
MOST_CUTS = 255
# Cells of the tables of three features; a hundred million take about a second.
MOST_CELLS = 2_000_000_000


@dataclass(frozen=True)
class Leaf:
    """An end of the tree, and its decision."""

    treat: bool


@dataclass(frozen=True)
class Split:
    """``high`` where the feature is at least ``cut``, else ``low``; a missing value goes low.

    cut: −∞ separates missing values from all others.  unknown: whether the feature had missing values in training.
    """

    feature: int
    cut: float
    unknown: bool
    low: "Split | Leaf"
    high: "Split | Leaf"


@dataclass(frozen=True)
class PolicyTree:
    """A tree that decides whom to treat. See ``fit_policy_tree``.

    names: of the p features.  reward: mean(gain·π(x)) over the training rows, what the rule earned per customer there.
    It was maximised, so it is too optimistic: evaluate the rule on other customers.
    """

    names: tuple[str, ...]
    root: Split | Leaf
    reward: float

    def decide(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Whom to treat: features (m, p), in the order of ``names``, NaN where missing → (m,)."""
        return _decide(self.root, _matrix(features, len(self.names)))

    def sentence(self, facts: Mapping[str, tuple[str, str]] | None = None) -> str:
        """The rule in words: "treat if age ≥ 45 and express points spent < −0.6".

        Groups are joined by "or", conditions on one feature are merged, needless conditions are left out. Cuts are
        rounded to four digits or to whole numbers, whichever is more exact; ``decide`` does not round.

        facts: for features that are 0 or 1, what 1 and 0 mean: "zip code is Rural", "zip code is not Rural".
        """
        groups = [self._conditions(path, facts or {}) for path in _treated(self.root)]
        if not groups:
            return "treat nobody"
        if not all(groups):
            return "treat everybody"
        return "treat if " + _joined(" or ", [_joined(" and ", conditions) for conditions in groups])[0]

    def reasons(
        self, features: ArrayLike, facts: Mapping[str, tuple[str, str]] | None = None
    ) -> tuple[NDArray[np.intp], list[str]]:
        """The leaf of each customer, (m, p) → (m,), and what is true of everybody in each leaf, in words."""
        values = _matrix(features, len(self.names))
        leaves = _leaves(self.root, [])
        code = np.zeros(len(values), dtype=np.intp)
        for number, path in enumerate(leaves):
            inside = np.ones(len(values), dtype=bool)
            for split, high in path:
                inside &= (values[:, split.feature] >= split.cut) == high
            code[inside] = number
        groups = [self._conditions(path, facts or {}) for path in leaves]
        return code, [_joined(" and ", conditions)[0] if conditions else "everybody" for conditions in groups]

    def _conditions(self, path: "list[Step]", facts: Mapping[str, tuple[str, str]]) -> list[tuple[str, bool]]:
        """The conditions on a path, see ``_condition``."""

        def condition(feature: int, limits: Limits) -> tuple[str, bool]:
            name = self.names[feature]
            # For a feature that is 1 or 0, only one of the two limits is set.
            return (facts[name][limits[0] is None], False) if name in facts else _condition(name, *limits)

        return [condition(feature, limits) for feature, limits in _merged(path).items()]

    def to_json(self) -> dict[str, Any]:
        """A document from which ``from_json`` makes the same tree."""
        return {"names": list(self.names), "reward": self.reward, "tree": _to_json(self.root)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "PolicyTree":
        """The tree that ``to_json`` described."""
        return cls(tuple(document["names"]), _from_json(document["tree"]), document["reward"])


def fit_policy_tree(
    features: ArrayLike,
    gain: ArrayLike,
    names: Sequence[str],
    *,
    depth: int,
    cuts: int = 64,
    min_leaf: int = 1,
) -> PolicyTree:
    """The tree π of at most ``depth`` that maximises Σ gain_i·π(x_i): all trees are compared, none is grown greedily.

    Zhou, Athey & Wager (2023), with the two actions "treat" and "do not".

    features: (n, p); NaN is missing, and counts as below every number.
    gain: (n,) profit of treating over not treating, such as differences of doubly robust scores; of either sign.
    depth: 1, 2 or 3. Two takes p²/2 passes over the rows, three p³/6 and tables of up to (cuts + 1)³: use 15 cuts.
    cuts: most cut points a feature, 1 to 255, with about equal numbers of rows between them; all if there are no more.
    Each is the shortest number above one value and up to the next that occurs: 45, not 44.5, between 44 and 45.
    min_leaf: fewest training rows in a leaf.

    Among trees of equal reward the simpler one is taken: the shallower; at equal depth the one with the shallower
    sides; then the earlier feature, then the lower cut. A leaf that gains nothing is not treated. Equal means up to
    rounding, 1e-12 of Σ|gain| (or n·2⁻⁵¹ of it, if more). Neither the order of rows nor the unit of the gain matters.
    Raises InputError.
    """
    require_whole(depth, "depth", 1, 3)
    require_whole(cuts, "cuts", 1, MOST_CUTS)
    require_whole(min_leaf, "min_leaf", 1)
    values, profit, titles = _checked(features, gain, names)
    binned = [_bin(column, cuts) for column in values.T]
    whole = _whole(profit)
    rows = _Rows(
        np.array([codes for codes, _ in binned], dtype=np.uint8).reshape(values.shape[1], len(values)),
        tuple(len(edges) + 1 for _, edges in binned),
        whole,
        min_leaf,
        # Each gain is off by up to half a unit; 2¹¹ units are 1e-12 of the sum.
        float(max(len(whole), 2048)),
    )
    if depth == 3:
        _require_affordable(rows.bins, cuts)

    def grown(node: _Rows, levels: int) -> Split | Leaf:
        split = _best_split(node, levels) if levels else None
        if split is None:
            return Leaf(bool(node.gain.sum() > node.tolerance))
        feature, cut, below = split
        high = node.codes[feature] > cut
        return Split(
            feature,
            _between(*binned[feature][1][cut]),
            bool(np.isnan(values[:, feature]).any()),
            grown(node.where(~high), below),
            grown(node.where(high), below),
        )

    root = grown(rows, depth)
    return PolicyTree(titles, root, math.fsum(profit[_decide(root, values)]) / len(profit))


@dataclass(frozen=True)
class Tree(Rule):
    """Treat by the answers to a few questions.  facts: ``Encoder.facts`` of the features."""

    tree: PolicyTree
    facts: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    title = "Tree"
    meaning = "A rule of a few questions, such as “paid less than 100?”, that fits into one sentence."
    simplicity = 20

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return self.tree.decide(audience.features)

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``: the answers that led to a customer's leaf."""
        return self.tree.reasons(audience.features, self.facts)

    @property
    def sentence(self) -> str:
        """See ``Rule``."""
        return self.tree.sentence(self.facts)

    def to_json(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"tree": self.tree.to_json(), "facts": {name: list(words) for name, words in self.facts.items()}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], booster: Any = None) -> Self:  # noqa: ARG003
        """See ``Rule``."""
        facts = {name: (one, zero) for name, (one, zero) in document["facts"].items()}
        return cls(PolicyTree.from_json(document["tree"]), facts)


@dataclass(frozen=True)
class TreeRules(Family):
    """One tree, which uses no learner. See ``fit_policy_tree``."""

    depth: int
    cuts: int
    min_leaf: int

    rule = Tree

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """See ``Family``."""
        require_keys(params, ("depth", "cuts", "min_leaf"), "policy.tree")
        return cls(
            depth=require_whole(params["depth"], "policy.tree.depth", 1, 3),
            cuts=require_whole(params["cuts"], "policy.tree.cuts", 1, MOST_CUTS),
            min_leaf=require_whole(params["min_leaf"], "policy.tree.min_leaf", 1),
        )

    def fit(self, training: Training) -> dict[str, Rule]:
        """See ``Family``."""
        tree = fit_policy_tree(
            training.audience.features,
            training.gain_scores,
            training.columns,
            depth=self.depth,
            cuts=self.cuts,
            min_leaf=self.min_leaf,
        )
        return {f"depth_{self.depth}": Tree(tree, training.facts)}


@dataclass(frozen=True)
class _Rows:
    """The n rows of a node: codes (p, n), bins of the rows; bins (p,), their number; gain (n,) in whole units."""

    codes: NDArray[np.uint8]
    bins: tuple[int, ...]
    gain: Floats
    min_leaf: int
    tolerance: float

    def where(self, chosen: NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.codes[:, chosen], self.bins, self.gain[chosen], self.min_leaf, self.tolerance)

    def cells(self, features: Sequence[int]) -> NDArray[np.intp]:
        """The cell of each row, (n,), in a table that has an axis for each of ``features``."""
        cell = np.zeros(len(self.gain), dtype=np.intp)
        for feature in features:
            cell *= self.bins[feature]
            cell += self.codes[feature]
        return cell

    def tables(
        self, features: tuple[int, ...], others: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], Floats, NDArray[np.intp] | None]]:
        """Sums of gain over the bins of ``features`` with each of ``others``, and numbers of rows.

        One axis a feature; no numbers of rows if one row is enough for a leaf. Sums of whole numbers are exact, so they
        are the same in any order of the rows.
        """
        begun = self.cells(features)
        for other in others:
            joined = (*features, other)
            shape = [self.bins[feature] for feature in joined]
            cell = begun * self.bins[other]
            cell += self.codes[other]
            sums: Floats = np.bincount(cell, self.gain, math.prod(shape)).astype(np.float64, copy=False).reshape(shape)
            # A tree with an empty leaf earns as much as the tree without it, and the simpler one is preferred.
            counts = None if self.min_leaf == 1 else np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
            yield joined, sums, counts


def _best_split(rows: _Rows, depth: int) -> tuple[int, int, int] | None:
    """Root of the best tree: feature, last bin of the low side, and depth below. None if no tree beats a leaf."""
    sides = _side_rewards(rows, depth)
    # Rewards of all cuts of all features by depth of the sides, in the order in which ties are broken.
    trees = [np.concatenate([np.empty(0), *(of.sum(axis=0) for of in features)]) for features in sides]
    best = [max(float(rows.gain.sum()), 0.0), *(float(of.max(initial=-np.inf)) for of in trees)]
    needed = next(levels for levels, reward in enumerate(best) if reward >= max(best) - rows.tolerance)
    if needed == 0:
        return None
    equal = np.flatnonzero(trees[needed - 1] >= best[needed] - rows.tolerance)
    used = [np.concatenate(features, axis=1)[:, equal] for features in sides[:needed]]
    # A side gets the least depth at which it reaches its reward.
    deep = sum((shallower < used[-1] - rows.tolerance).sum(axis=0) for shallower in used)
    place = int(equal[np.argmin(deep)])
    starts = np.cumsum([0, *(count - 1 for count in rows.bins)])
    feature = int(np.searchsorted(starts, place, side="right")) - 1
    return feature, place - int(starts[feature]), needed - 1


def _side_rewards(rows: _Rows, depth: int) -> list[list[Floats]]:
    """What the low and the high side of each first split earn, by the largest depth of the sides, 0 to depth − 1.

    One array (2, cuts) a feature; −∞ where the split is not allowed.
    """
    everything = range(len(rows.bins))
    rewards = []
    for _, sums, counts in rows.tables((), everything):
        constant = np.maximum(_sides(sums, 0), 0.0)
        rewards.append(constant if counts is None else np.where(_sides(counts, 0) >= rows.min_leaf, constant, -np.inf))
    by_depth = [rewards]
    if depth >= 2:
        stumps = _stumps(rows, 1)
        by_depth.append([stumps[(feature,)] for feature in everything])
    if depth >= 3:
        stumps = _stumps(rows, 2)
        deepest = []
        for feature in everything:
            reward = by_depth[1][feature]
            for child in everything:
                pair = stumps[min(feature, child), max(feature, child)]
                cells = pair if feature <= child else pair.transpose(2, 3, 0, 1)
                reward = np.maximum(reward, (cells[:, :, 0] + cells[:, :, 1]).max(axis=2, initial=-np.inf))
            deepest.append(reward)
        by_depth.append(deepest)
    return by_depth


def _stumps(rows: _Rows, splits: int) -> dict[tuple[int, ...], Floats]:
    """What the best tree of at most one split earns in each cell that ``splits`` splits make.

    Keys: the features of these splits, in ascending order. Values: arrays (2, cuts, 2, cuts, …), a side and a cut of
    each. Every set of features is counted once, and each of its members serves as the feature of the last split.
    """
    best: dict[tuple[int, ...], Floats] = {}
    for begun in combinations_with_replacement(range(len(rows.bins)), splits):
        for features, sums, counts in rows.tables(begun, range(begun[-1], len(rows.bins))):
            for last in dict.fromkeys(features):
                axis = features.index(last)
                before = features[:axis] + features[axis + 1 :]
                reward = _stump(
                    _cells(np.moveaxis(sums, axis, -1)),
                    None if counts is None else _cells(np.moveaxis(counts, axis, -1)),
                    rows.min_leaf,
                )
                best[before] = np.maximum(best[before], reward) if before in best else reward
    return best


def _stump(low: Floats, counts: NDArray[np.intp] | None, min_leaf: int) -> Floats:
    """What the best tree of at most one split earns: low (…, bins) sums of gain, and of rows, up to each bin → (…).

    Treating the low side earns ``low``, the high side the total less ``low``; at the last bin this is all or nobody.
    """
    total = low[..., -1]
    if counts is not None:
        allowed = (counts >= min_leaf) & (counts[..., -1:] - counts >= min_leaf)
        low = np.where(allowed, low, total[..., np.newaxis])
    reward = np.maximum(low.max(axis=-1), total - low.min(axis=-1))
    return reward if counts is None else np.where(counts[..., -1] >= min_leaf, reward, -np.inf)


def _cells(table: NDArray[Any]) -> NDArray[Any]:
    """Sums in the cells of splits on all axes but the last, up to each bin of the last: (2, cuts, …, bins)."""
    table = table.cumsum(axis=-1)
    for axis in range(table.ndim - 1):
        table = _sides(table, 2 * axis)
    return table


def _sides(table: NDArray[Any], axis: int) -> NDArray[Any]:
    """Sums on the low and the high side of every cut of one axis, which becomes two: (…, bins, …) → (…, 2, cuts, …)."""
    upto = table.cumsum(axis=axis)
    before = (slice(None),) * axis
    low, total = upto[(*before, slice(None, -1))], upto[(*before, slice(-1, None))]
    return np.stack([low, total - low], axis=axis)


def _bin(column: Floats, cuts: int) -> tuple[NDArray[np.uint8], list[tuple[float, float]]]:
    """Bins of a feature and, for each cut, the two values next to it; missing values are the first bin."""
    missing = np.isnan(column)
    values, counts = np.unique(column[~missing], return_counts=True)
    starts = _starts(counts, cuts - int(missing.any()))
    edges = [(float(values[start - 1]), float(values[start])) for start in starts]
    codes = np.searchsorted(values[starts], column, side="right")
    if missing.any() and len(values):
        codes = np.where(missing, 0, codes + 1)
        edges.insert(0, (-math.inf, float(values[0])))
    return codes.astype(np.uint8), edges


def _starts(counts: NDArray[np.intp], cuts: int) -> NDArray[np.intp]:
    """First distinct values of bins with about equal numbers of rows.  counts: rows of each distinct value."""
    upto, starts, start = np.cumsum(counts), list[int](), 0
    for left in range(cuts, 0, -1):
        if len(counts) - 1 - start <= left:
            starts += range(start + 1, len(counts))
            break
        before = upto[start - 1] if start else 0
        enough = int(np.searchsorted(upto, before + (upto[-1] - before) / (left + 1))) + 1
        # Enough values have to remain for the remaining cuts.
        start = min(max(enough, start + 1), len(counts) - left)
        starts.append(start)
    return np.array(starts, dtype=np.intp)


def _between(low: float, high: float) -> float:
    """The shortest decimal above ``low`` and up to ``high``, the nearest to their middle if several. −∞ stays."""
    if low == -math.inf:
        return low
    lower, upper = Decimal(repr(low)), Decimal(repr(high))
    for place in range((upper - lower).adjusted() + 1, (upper - lower).adjusted() - 20, -1):
        step = Decimal(1).scaleb(place)
        steps = ((lower + upper) / 2 / step + Decimal("0.5")).to_integral_value(ROUND_FLOOR)
        if low < (cut := float(steps * step)) <= high:
            return cut
    return high


def _whole(gain: Floats) -> Floats:
    """The gains as whole numbers of a unit, a power of two; sums of any of them are below 2⁵³, so exact."""
    return np.rint(np.ldexp(gain, 52 - math.frexp(math.fsum(np.abs(gain)))[1]))


def _checked(features: ArrayLike, gain: ArrayLike, names: Sequence[str]) -> tuple[Floats, Floats, tuple[str, ...]]:
    titles = tuple(names)
    if len(set(titles)) < len(titles):
        twice = next(name for name in titles if titles.count(name) > 1)
        raise InputError(f"names: {twice!r} names two features; give each a name of its own")
    values = _matrix(features, len(titles))
    profit = _numbers(gain, "gain")
    if profit.shape != (len(values),):
        raise InputError(f"gain: expected one number for each of the {len(values)} rows, got shape {profit.shape}")
    if not len(profit):
        raise InputError("features: no rows to learn from")
    if not (np.abs(profit) < LARGEST).all():
        row = int(np.argmin(np.abs(profit) < LARGEST))
        raise InputError(f"gain: expected numbers of a size below {LARGEST:g}, got {profit[row]} in row {row}")
    infinite = np.isinf(values).any(axis=0)
    if infinite.any():
        raise InputError(f"features: {titles[int(np.argmax(infinite))]!r} is infinite; use NaN where it is missing")
    return values, profit, titles


def _matrix(features: ArrayLike, columns: int) -> Floats:
    values = _numbers(features, "features")
    if values.ndim != 2 or values.shape[1] != columns:
        raise InputError(f"features: expected a matrix of {columns} columns, as there are names, got {values.shape}")
    return values


def _numbers(values: ArrayLike, key: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{key}: expected numbers, NaN where they are missing") from None


def _require_affordable(bins: Sequence[int], cuts: int) -> None:
    # The tables have about (Σ bins)³/6 cells; each is evaluated for four sides of each of its three features.
    cells = 2 * sum(bins) ** 3
    if cells > MOST_CELLS:
        raise InputError(
            f"depth: 3 would compare {cells:.2g} cells for {len(bins)} features at cuts={cuts}, more than "
            f"{MOST_CELLS:.0g}; ask for fewer cuts (15, say), fewer features or depth 2"
        )


def _decide(node: Split | Leaf, features: Floats) -> NDArray[np.bool_]:
    if isinstance(node, Leaf):
        return np.full(len(features), node.treat)
    # NaN is not at least any number, so missing values go low.
    high = features[:, node.feature] >= node.cut
    return np.where(high, _decide(node.high, features), _decide(node.low, features))


# A split and whether its high side was taken.
Step = tuple[Split, bool]
# Limits of a feature: at least, below, and whether a sentence has to say where missing values go.
Limits = tuple[float | None, float | None, bool]


def _treated(node: Split | Leaf) -> list[list[Step]]:
    """Paths to the treated leaves, with no more steps than separate them from the other leaves."""
    if isinstance(node, Leaf):
        return [[]] if node.treat else []
    low, high = _treated(node.low), _treated(node.high)
    if low == high:
        return low
    for side, all_treated, other in ((False, low, high), (True, high, low)):
        if all_treated == [[]]:
            # "A or (not A and B)" is "A or B". If B concerns the same feature, "not A" costs no words and helps.
            about = [any(step.feature == node.feature for step, _ in path) for path in other]
            rest = [[(node, not side), *path] if same else path for path, same in zip(other, about, strict=True)]
            return [[(node, side)], *rest]
    return [[(node, side), *path] for side, paths in ((False, low), (True, high)) for path in paths]


def _leaves(node: Split | Leaf, path: list[Step]) -> list[list[Step]]:
    """The paths to all leaves."""
    if isinstance(node, Leaf):
        return [path]
    return [*_leaves(node.low, [*path, (node, False)]), *_leaves(node.high, [*path, (node, True)])]


def _merged(path: list[Step]) -> dict[int, Limits]:
    """Limits of each feature on the path, in the order in which features appear."""
    limits: dict[int, Limits] = {}
    for split, side in path:
        least, below, _ = limits.get(split.feature, (None, None, False))
        if side:
            least = split.cut if least is None else max(least, split.cut)
        else:
            below = split.cut if below is None else min(below, split.cut)
        limits[split.feature] = least, below, split.unknown
    return limits


def _condition(name: str, least: float | None, below: float | None, unknown: bool) -> tuple[str, bool]:
    """The limits in words, and whether these are two conditions."""
    if below is None:
        return (f"{name} known" if least is None or least == -math.inf else f"{name} ≥ {_cut(least)}"), False
    if below == -math.inf:
        return f"{name} unknown", False
    if least is None:
        return f"{name} < {_cut(below)}" + (" or unknown" if unknown else ""), unknown
    return (f"{_cut(least)} ≤ " if least > -math.inf else "") + f"{name} < {_cut(below)}", False


def _cut(value: float) -> str:
    return as_label(value, 4, commas=True)


def _joined(word: str, parts: list[tuple[str, bool]]) -> tuple[str, bool]:
    """Parts joined by a word, with brackets around joined parts; and whether there was more than one part."""
    if len(parts) == 1:
        return parts[0]
    return word.join(f"({text})" if joined else text for text, joined in parts), True


def _to_json(node: Split | Leaf) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return {"treat": node.treat}
    return {
        "feature": node.feature,
        # JSON has no infinity.
        "cut": node.cut if math.isfinite(node.cut) else None,
        "unknown": node.unknown,
        "low": _to_json(node.low),
        "high": _to_json(node.high),
    }


def _from_json(document: Mapping[str, Any]) -> Split | Leaf:
    if "treat" in document:
        return Leaf(document["treat"])
    cut = -math.inf if document["cut"] is None else document["cut"]
    low, high = _from_json(document["low"]), _from_json(document["high"])
    return Split(document["feature"], cut, document["unknown"], low, high)
