"""Treat whole groups of customers: bins of age, tenure, a predicted outcome, or the levels of a category.

This is the coarse personalisation that every marketer tries first. It has few decisions to learn, so it errs little by
chance, and one sentence describes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from promotions.base.encoding import as_numbers, is_number
from promotions.base.errors import InputError
from promotions.base.formatting import as_label
from promotions.base.validation import require_choice, require_finite, require_keys, require_number, require_whole
from promotions.policies.audience import Audience
from promotions.policies.family import Family, Training
from promotions.policies.rule import Bools, Effects, Reasons, Rule

RULES = MEAN, LOWER_BOUND = "mean", "lower_bound"
NUMBER, CATEGORY = "number", "category"
RANGE, LEVEL, POOL, MISSING = "range", "level", "pool", "missing"
# The fewest training customers: a smaller bin is widened, a smaller level is pooled. The mean of fewer is mostly luck.
LEAST_CUSTOMERS = 30
# Groups are made of a column of the table, or of this: the outcome expected without treatment.
PREDICTED_OUTCOME = "predicted_outcome"


@dataclass(frozen=True)
class Group:
    """Customers who are decided upon together.

    kind: ``range`` of numbers, with low and high the smallest and the largest in training; ``level`` of a category;
    ``pool`` of rare levels; ``missing``.  levels: of a level or a pool.  mean_gain: mean profit of treating
    over not treating in training, with its 95 % interval; ci_low and ci_high are None for a single cluster.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    customers: int = 0
    mean_gain: float = 0.0
    ci_low: float | None = None
    ci_high: float | None = None
    treat: bool = False


@dataclass(frozen=True)
class GroupPolicy:
    """Which groups to treat.

    kind: ``number`` or ``category``, what the column held in training.  groups: ranges in ascending order, or levels
    by name and their pool; the missing last.
    """

    kind: str
    groups: tuple[Group, ...]

    def decide(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Whether to treat each customer by the group of its value, (m,) → (m,).

        A number between two ranges belongs to the lower one, a number outside all to the nearest. A level that was not
        there in training belongs to the pool of rare ones. A customer in no group is not treated: a new level where
        there is no pool, a missing value where none was missing.  Raises InputError if numbers come where training had
        categories, or the reverse.
        """
        # Position −1: in no group.
        treat = np.array([*(group.treat for group in self.groups), False])
        return treat[self._places(values)]

    def reasons(self, values: ArrayLike) -> tuple[NDArray[np.intp], list[str]]:
        """The group of each customer, (m,) → (m,), and labels of the groups; the last label is for no group."""
        labels = [_label(self.groups, index, index) for index in range(len(self.groups))]
        return self._places(values) % (len(labels) + 1), [*labels, "in no group of training"]

    def _places(self, values: ArrayLike) -> NDArray[np.intp]:
        column = _as_column(values)
        if _kind_of(column) != self.kind and not column.isna().all():
            raise InputError(
                f"policy.groups: the column holds {column.dtype} where training had a {self.kind}; "
                "give it the type that it had in training"
            )
        return _place(self.groups, column)

    def table(self) -> pd.DataFrame:
        """``group, from, to, customers, mean_gain, ci_low, ci_high, treat``, one row a group, from training customers.

        The intervals are two-sided and of 95 %, whichever the rule. Groups were chosen by the same numbers: measure on
        other customers what the treated ones are worth.
        """
        rows = [
            (_label(self.groups, index, index), g.low, g.high, g.customers, g.mean_gain, g.ci_low, g.ci_high, g.treat)
            for index, g in enumerate(self.groups)
        ]
        columns = ["group", "from", "to", "customers", "mean_gain", "ci_low", "ci_high", "treat"]
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("from", "to", *columns[4:7]), np.float64))

    def sentence(self, name: str) -> str:
        """The rule in words, such as ``treat where age is 45 to 61 or 71 and more``.  name: of the column."""
        if all(group.treat for group in self.groups):
            return "treat everybody"
        if not any(group.treat for group in self.groups):
            return "treat nobody"
        with_value = [group for group in self.groups if group.kind != MISSING]
        if with_value and all(group.treat for group in with_value):
            return f"treat where {name} is known"
        runs: list[tuple[int, int]] = []
        for index, group in enumerate(self.groups):
            if group.treat and group.kind == RANGE and runs and runs[-1][1] == index - 1:
                runs[-1] = (runs[-1][0], index)
            elif group.treat:
                runs.append((index, index))
        parts = [_label(self.groups, *run) for run in runs]
        listed = ", ".join(parts[:-1])
        return f"treat where {name} is {f'{listed} or {parts[-1]}' if listed else parts[-1]}"

    def to_json(self) -> dict[str, Any]:
        """A document from which ``from_json`` makes the same policy."""
        return {
            "kind": self.kind,
            "groups": [{**asdict(group), "levels": list(group.levels)} for group in self.groups],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "GroupPolicy":
        """The policy that ``to_json`` described."""
        groups = (Group(**{**group, "levels": tuple(group["levels"])}) for group in document["groups"])
        return cls(document["kind"], tuple(groups))


def fit_groups(
    values: ArrayLike,
    gain_scores: NDArray[np.float64],
    clusters: NDArray[np.intp],
    *,
    bins: int,
    rule: str,
    level: float = 0.9,
    least: int = LEAST_CUSTOMERS,
) -> GroupPolicy:
    """Learn from training customers which groups of a column's values earn more treated than not.

    In group g, m_g = mean(Γ_i) and se_g² = K/(K−1) · Σ_k (Σ_{i in k} (Γ_i − m_g))² / n_g² over its K clusters k.
    ``mean`` treats where m_g > 0; ``lower_bound`` where m_g − t·se_g > 0, t the quantile ``level`` of Student's t with
    K − 1 degrees: with that probability the group truly gains. A group of one cluster has no bound and is not treated.
    Sources: ``mean`` is the conditional empirical success rule of Manski (2004), with the doubly robust scores of Athey
    & Wager (2021); a one-sided test as a rule: Tetenov (2012).

    values: (n,) numbers, booleans or dates, cut into ``bins`` groups of about equal size, or levels of a category, a
    group each. Equal values stay together, so there may be fewer groups and unequal ones; as few values as ``bins`` are
    a group each. A bin with fewer than ``least`` customers is widened; such levels are pooled. Missing values are a
    group however few they are.
    gain_scores: (n,) Γ, doubly robust scores of the profit of treating over not treating.  clusters: (n,) codes.
    The order of rows changes nothing.  Raises InputError.
    """
    require_whole(bins, "policy.groups.bins", 1)
    require_choice(rule, RULES, "policy.groups.rule")
    require_number(level, "policy.groups.level", 0.5, 1, high_open=True)
    require_whole(least, "policy.groups.least", 1)
    column, gain = _as_column(values), np.asarray(gain_scores, dtype=np.float64)
    if not len(column) == len(gain) == len(clusters) or gain.ndim != 1 or not len(gain):
        raise InputError(
            "policy.groups: expected one value, one gain and one cluster for each of at least one customer, got "
            f"{len(column):,} values, gains of shape {gain.shape} and {len(clusters):,} clusters"
        )
    require_finite(gain, "policy.groups: gain")
    kind = _kind_of(column)
    groups = _ranges(as_numbers(column), bins, least) if kind == NUMBER else _levels(column, least)
    codes = _place(groups, column)
    if (codes < 0).any():
        groups.append(Group(MISSING))
        codes = _place(groups, column)
    return GroupPolicy(kind, tuple(_measured(groups, codes, gain, np.asarray(clusters), rule, level)))


@dataclass(frozen=True)
class Groups(Rule):
    """Treat whole groups of the customers' column ``by``, or of ``predicted_outcome``, μ₀(x)."""

    by: str
    policy: GroupPolicy

    title = "Group rule"
    meaning = (
        "The customers are put into a few groups by one column, or by what they are expected to do without a contact; "
        "a group is contacted as a whole, or not."
    )
    simplicity = 10

    @property
    def needs_outcomes(self) -> bool:
        """See ``Rule``."""
        return self.by == PREDICTED_OUTCOME

    def decide(self, audience: Audience, effects: Effects) -> Bools:  # noqa: ARG002
        """See ``Rule``."""
        return self.policy.decide(values_of(audience, self.by))

    def reasons(self, audience: Audience, effects: Effects, treat: Bools) -> Reasons:  # noqa: ARG002
        """See ``Rule``: the customer's group."""
        codes, labels = self.policy.reasons(values_of(audience, self.by))
        return codes, [f"{self.by} is {label}" for label in labels]

    @property
    def sentence(self) -> str:
        """See ``Rule``."""
        return self.policy.sentence(self.by)

    def to_json(self) -> dict[str, Any]:
        """See ``Rule``."""
        return {"by": self.by, "policy": self.policy.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], booster: Any = None) -> Self:  # noqa: ARG003
        """See ``Rule``."""
        return cls(document["by"], GroupPolicy.from_json(document["policy"]))


@dataclass(frozen=True)
class GroupRules(Family):
    """Groups of each column of ``by``, or of the predicted outcome. See ``fit_groups``."""

    by: tuple[str, ...]
    bins: int
    decide_by: str

    rule = Groups

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """See ``Family``."""
        require_keys(params, ("by", "bins", "rule"), "policy.groups")
        by = params["by"]
        if not isinstance(by, list) or not all(isinstance(name, str) for name in by):
            raise InputError(f"policy.groups.by: expected a list of columns such as [{PREDICTED_OUTCOME}], got {by!r}")
        return cls(
            by=tuple(by),
            bins=require_whole(params["bins"], "policy.groups.bins", 2),
            decide_by=require_choice(params["rule"], RULES, "policy.groups.rule"),
        )

    def fit(self, training: Training) -> dict[str, Rule]:
        """See ``Family``. Raises InputError for an unknown column."""

        def learned(by: str) -> Groups:
            values = values_of(training.audience, by)
            policy = fit_groups(values, training.gain_scores, training.clusters, bins=self.bins, rule=self.decide_by)
            return Groups(by, policy)

        return {by: learned(by) for by in self.by}


def values_of(audience: Audience, by: str) -> "pd.Series[Any]":
    """The n values that groups are made of. Raises InputError for an unknown column."""
    if by == PREDICTED_OUTCOME:
        return pd.Series(audience.outcomes[:, 0])
    if by not in audience.frame:
        raise InputError(
            f"policy.groups.by: there is no column {by!r}; it is {PREDICTED_OUTCOME} or one of "
            f"{', '.join(map(str, audience.frame.columns))}"
        )
    return audience.frame[by].reset_index(drop=True)


def _ranges(values: NDArray[np.float64], bins: int, least: int) -> list[Group]:
    """Ranges of the values that are not missing, of about equal numbers of customers.

    Each range takes its part of the customers that are left, so that a frequent value (say, 0) leaves no group empty or
    tiny.
    """
    # Adding 0 turns −0 into 0: they are equal but are not written alike.
    distinct, counts = np.unique(values[~np.isnan(values)] + 0.0, return_counts=True)
    total = np.concatenate([[0], np.cumsum(counts)])
    starts: list[int] = []
    start = 0
    while start < len(distinct):
        if starts and total[-1] - total[start] < least:
            break
        parts = min(bins - len(starts), len(distinct) - start)
        aim = total[start] + (total[-1] - total[start]) / parts
        stop = int(np.searchsorted(total, aim))
        # The nearer of the two borders around the target; if both are as near, the lower one.
        stop -= int(aim - total[stop - 1] <= total[stop] - aim)
        enough = int(np.searchsorted(total, min(total[start] + least, total[-1])))
        starts.append(start)
        start = max(min(stop, len(distinct) - parts + 1), start + 1, enough)
    return [Group(RANGE, float(distinct[a]), float(distinct[b - 1])) for a, b in pairwise([*starts, len(distinct)])]


def _levels(column: "pd.Series[Any]", least: int) -> list[Group]:
    counts = column.dropna().astype("string").value_counts()
    names = sorted(str(name) for name in counts.index)
    rare = tuple(name for name in names if counts[name] < least)
    groups = [Group(LEVEL, levels=(name,)) for name in names if counts[name] >= least]
    return [*groups, Group(POOL, levels=rare)] if rare else groups


def _place(groups: Sequence[Group], column: "pd.Series[Any]") -> NDArray[np.intp]:
    """The position of each row's group; −1 for none."""
    places = {group.kind: index for index, group in enumerate(groups)}
    absent = places.get(MISSING, -1)
    lows = [group.low for group in groups if group.low is not None]
    if lows and _kind_of(column) == NUMBER:
        values = as_numbers(column)
        positions = np.maximum(np.searchsorted(lows, values, side="right") - 1, 0)
        return np.where(np.isnan(values), absent, positions)
    level_of = {name: index for index, group in enumerate(groups) for name in group.levels}
    codes, names = pd.factorize(column.astype("string"))
    by_name = [level_of.get(str(name), places.get(POOL, -1)) for name in names]
    # factorize gives missing values the code −1, which indexes the last place.
    return np.array([*by_name, absent], dtype=np.intp)[codes]


def _measured(
    groups: Iterable[Group],
    codes: NDArray[np.intp],
    gain: NDArray[np.float64],
    clusters: NDArray[np.intp],
    rule: str,
    level: float,
) -> list[Group]:
    """The groups with their customers, gains and decisions."""
    # The order of adding up does not depend on the order of rows, so a mean near 0 keeps its sign.
    order = np.lexsort((gain, clusters, codes))
    codes, gain, clusters = codes[order], gain[order], clusters[order]
    customers = np.bincount(codes)
    mean = np.bincount(codes, gain) / customers
    first = np.flatnonzero(np.concatenate([[True], (np.diff(codes) != 0) | (np.diff(clusters) != 0)]))
    by_cluster = np.add.reduceat(gain - mean[codes], first)
    number = np.bincount(codes[first])
    freedom = np.where(number > 1, number - 1, np.nan)
    error = np.sqrt(number / freedom * np.bincount(codes[first], by_cluster**2)) / customers
    margin = stdtrit(freedom, 0.975) * error
    # A group without a bound has NaN, which is not above 0.
    treat = mean > 0 if rule == MEAN else mean - stdtrit(freedom, level) * error > 0
    return [
        replace(
            group,
            customers=int(customers[index]),
            mean_gain=float(mean[index]),
            ci_low=float(mean[index] - margin[index]) if number[index] > 1 else None,
            ci_high=float(mean[index] + margin[index]) if number[index] > 1 else None,
            treat=bool(treat[index]),
        )
        for index, group in enumerate(groups)
    ]


def _as_column(values: ArrayLike) -> "pd.Series[Any]":
    column: pd.Series[Any] = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
    return column.infer_objects()


def _kind_of(column: "pd.Series[Any]") -> str:
    return NUMBER if is_number(column) else CATEGORY


def _label(groups: Sequence[Group], start: int, stop: int) -> str:
    """The label of the group ``start``, or of the ranges from ``start`` to ``stop`` together."""
    first, final = groups[start], groups[stop]
    if first.low is None or final.high is None:
        return {LEVEL: ", ".join(first.levels), POOL: "any other level", MISSING: "missing"}[first.kind]
    if first.low == final.high:
        return as_label(first.low)
    # Nobody is between the whole numbers 61 and 62, so a label names the end. Otherwise it names the next beginning.
    whole = all(end is None or end.is_integer() for group in groups for end in (group.low, group.high))
    above = [group.low for group in groups if group.low is not None and group.low > final.high]
    if not above:
        return f"{as_label(first.low)} and more" if start else f"{as_label(first.low)} to {as_label(final.high)}"
    end = as_label(final.high) if whole else f"below {as_label(above[0])}"
    if start == 0:
        return f"up to {end}" if whole else end
    return f"{as_label(first.low)} to {end}"
