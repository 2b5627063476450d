"""How much discount for whom: the dose that earns most, among those that the log supports and the test can judge.

Every supported dose is compared; none is interpolated or extrapolated. Where small discounts are wasted, profit is
convex in the dose, and the dose at which its slope is zero is the worst one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from promotions.base.errors import InputError
from promotions.base.splitting import hash_uniform
from promotions.base.validation import require_keys, require_number, require_whole
from promotions.discount.response.curves import Curves
from promotions.discount.response.learners import Floats
from promotions.discount.rules import constant

SECTION = "discount.policy"
AUTO = "auto"
BEST, PESSIMISTIC, BUDGET = "best", "pessimistic", "budget"
# Relative tolerance of a budget: sums of floats are exact to this share.
ROUNDING = 1e-9
TIES = "promotions.discount.dose.choice"
# A dose may drop its unsupported levels if at least this share of it is supported for the customer.
ENOUGH = 0.5


@dataclass(frozen=True)
class Settings:
    """How doses are decided; see params.yaml.

    least_customers: randomised ones, to judge a dose by.  default: the dose to give unless another is expected to earn
    more, or None.
    min_gain: money per customer.  caution: one-sided confidence of the pessimistic rule.  budget: money per customer,
    or None.
    """

    champion: str
    least_customers: int
    default: float | None
    min_gain: float
    caution: float
    budget: float | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Settings":
        """Read ``discount.policy``. Raises InputError."""
        require_keys(params, ("champion", "least_customers", "default", "min_gain", "caution", "budget"), SECTION)
        if not isinstance(params["champion"], str):
            raise InputError(f"{SECTION}.champion: expected {AUTO} or the name of a policy, got {params['champion']!r}")
        budget, default = params["budget"], params["default"]
        return cls(
            champion=params["champion"],
            least_customers=require_whole(params["least_customers"], f"{SECTION}.least_customers", 1),
            default=None if default is None else require_number(default, f"{SECTION}.default", 0),
            min_gain=require_number(params["min_gain"], f"{SECTION}.min_gain", 0),
            caution=require_number(params["caution"], f"{SECTION}.caution", 0.5, 1, high_open=True),
            budget=None if budget is None else require_number(budget, f"{SECTION}.budget", 0),
        )


@dataclass(frozen=True)
class Menu:
    """The doses to choose from: levels of the design, or neighbouring levels that are judged together.

    levels (L,), ascending; share (L,) of the randomised customers who got each.  members (A, L): the levels of
    each dose; a level belongs to one dose at most, and to none if it cannot be judged.  seen (A,): whether the log
    supports them for any customer.  Doses stand in ascending order.
    """

    levels: Floats
    share: Floats
    members: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    @property
    def labels(self) -> Floats:
        """The level in the middle of each dose (the weighted lower median), which is its name; (A,)."""
        return self.middle(self.members)

    def middle(self, given: NDArray[np.bool_]) -> Floats:
        """The level in the middle of each row's levels, weighted by their shares."""
        weight = np.cumsum(given * self.share, axis=1)
        half = weight[:, -1:] / 2 * (1 - ROUNDING)
        return np.asarray(self.levels[np.argmax(weight >= half, axis=1)])

    def given(self, dose: NDArray[np.intp], supported: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """The levels that a rule's customers get, each as often as in the design: (n, L).

        Those of the dose that the log supports for the customer; all of them if it supports less than half (by share),
        or if ``supported`` is None.  dose: (n,) positions in the menu.  supported: (n, L).
        """
        whole = self.members[dose]
        if supported is None:
            return whole
        part = whole & supported
        return np.where(self.enough(part, whole)[:, None], part, whole)

    def enough(self, part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether ``part`` of the levels of a dose is at least half of its ``whole``, by share; (n, L) → (n,)."""
        return np.asarray(part @ self.share >= ENOUGH * (whole @ self.share) * (1 - ROUNDING))

    def index_of(self, doses: Floats) -> NDArray[np.intp]:
        """The position of the dose that each level (in money) belongs to. InputError for one that is on no menu."""
        place = np.minimum(np.searchsorted(self.levels, doses), len(self.levels) - 1)
        belongs = np.asarray(self.members.any(axis=0))
        wrong = (self.levels[place] != doses) | ~belongs[place]
        if wrong.any():
            raise InputError(
                f"discount: the dose {np.asarray(doses)[wrong][0]:g} is not on the menu, which has "
                f"{', '.join(self.names)}; run `dvc repro`"
            )
        return np.asarray(np.argmax(self.members, axis=0))[place]

    def name(self, index: int) -> str:
        """A dose in words: ``120``, or ``110–130`` where levels are judged together."""
        levels = self.levels[self.members[index]]
        return f"{levels[0]:g}" if len(levels) == 1 else f"{levels[0]:g}–{levels[-1]:g}"

    @property
    def names(self) -> list[str]:
        """The doses in words."""
        return [self.name(index) for index in range(len(self.members))]

    def to_frame(self) -> pd.DataFrame:
        """``level, share, dose, seen``, a row a level of the design; the dose is missing for a level on no dose."""
        place = np.argmax(self.members, axis=0)
        belongs = self.members.any(axis=0)
        return pd.DataFrame(
            {
                "level": self.levels,
                "share": self.share,
                "dose": np.where(belongs, self.labels[place], np.nan),
                "seen": belongs & self.seen[place],
            }
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Menu":
        """The menu that ``to_frame`` wrote."""
        dose = frame["dose"].to_numpy(np.float64)
        labels = np.unique(dose[~np.isnan(dose)])
        members = dose == labels[:, None]
        levels, share = (frame[name].to_numpy(np.float64) for name in ("level", "share"))
        return cls(levels, share, members, (members & frame["seen"].to_numpy(bool)).any(axis=1))


def make_menu(levels: Floats, customers: NDArray[np.int64], curve: Floats, least: int) -> Menu:
    """Levels that enough randomised customers got, and neighbours pooled until enough did.

    The value of a dose is known from the randomised customers who got it, and from them alone. Levels that fewer than
    ``least`` got are pooled with neighbours: a rule that gives each of them as often as the design did can be judged
    without any assumption. Among all cuts of the levels into groups of at least that many, the chosen one has the
    levels that differ least in expected profit, Σ_l n_l (p_l − p̄_group)² (Fisher 1958, "On grouping for maximum
    homogeneity"), p from the log. No discount is never pooled, and levels that the log supports for somebody are
    never pooled with others. Levels that are too rare even together are left out.

    levels (L,), ascending.  customers (L,): randomised ones.  curve (L,): expected profit per customer; NaN where the
    log supports a level for nobody.  Raises InputError if it does for none, or if fewer than two doses are left.
    """
    share = customers / customers.sum()
    supported = np.isfinite(curve)
    # Runs of levels that may be pooled.
    kind = np.where(levels == 0, 0, np.where(supported, 1, 2))
    run = np.cumsum(np.concatenate([[0], np.diff(kind) != 0]))
    groups: list[NDArray[np.intp]] = []
    for number in np.unique(run):
        block = np.flatnonzero(run == number)
        if kind[block[0]] == 0:
            groups.append(block)
        else:
            height = curve[block] if supported[block[0]] else levels[block]
            groups += [block[place] for place in _pooled(customers[block], height, least)]
    if len(groups) < 2:
        raise InputError(
            f"discount: fewer than two doses were given to {least:,} or more of the {int(customers.sum()):,} "
            f"randomised customers, even with neighbours pooled; lower {SECTION}.least_customers"
        )
    if not supported.any():
        raise InputError(
            "discount: the log supports no level of the design for any customer; lower discount.response.support"
        )
    members = np.zeros((len(groups), len(levels)), dtype=bool)
    for place, group in enumerate(groups):
        members[place, group] = True
    return Menu(levels, share, members, np.array([bool(supported[group].all()) for group in groups]))


def expected_curve(curves: Curves, learner: str, margin: float) -> Floats:
    """Expected profit per customer at each level, over all customers; NaN where it is supported for nobody. (L,)."""
    supported = curves.supported.any(axis=0)
    profit = margin * np.where(supported, curves.sales[learner], 0.0).mean(axis=0) - curves.levels
    return np.where(supported, profit, np.nan)


@dataclass(frozen=True)
class Expected:
    """What each dose is expected to earn from each customer, by one learner; all (n, A), money per customer.

    profit: of the levels that the customer would be given; −inf where the log has no such dose.  cost: their mean
    discount.  error: standard error of the profit's difference to that of the customer's lowest supported dose.
    supported: at least half of the dose (by share) is.  dose: the level in the middle of what would be given.
    default: position of the dose that gains are measured from, or None for each customer's lowest supported dose.
    """

    profit: Floats
    cost: Floats
    error: Floats
    supported: NDArray[np.bool_]
    dose: Floats
    default: int | None = None

    @property
    def reference(self) -> NDArray[np.intp]:
        """The dose that a customer gets without a reason for another, (n,): the default, or the lowest supported one.

        A customer with neither gets the lowest dose of all.
        """
        if self.default is not None:
            return np.full(len(self.profit), self.default)
        return np.argmax(self.supported, axis=1)

    def with_default(self, default: int) -> "Expected":
        """The same where everybody may have the default dose, supported or not.

        An unsupported default counts as earning what the customer's lowest supported dose earns, so another dose has to
        earn more than that one. The default then wins over a lowest supported dose that is no better.
        """
        rows, lowest = np.arange(len(self.profit)), np.argmax(self.supported, axis=1)
        default_supported = self.supported[:, default]
        profit, error, supported = self.profit.copy(), self.error.copy(), self.supported.copy()
        any_supported = self.supported.any(axis=1)
        profit[:, default] = np.where(
            default_supported, profit[:, default], np.where(any_supported, profit[rows, lowest], 0.0)
        )
        error[:, default] = np.where(default_supported, error[:, default], 0.0)
        supported[:, default] = True
        return Expected(profit, self.cost, error, supported, self.dose, default)


def expected_profit(curves: Curves, learner: str, menu: Menu, margin: float) -> Expected:
    """margin·sales(d) − d, averaged over the levels that a customer would be given, as often as in the design.

    Errors of levels are added as if they went hand in hand, and so is that of the customer's lowest supported dose
    where this stands for several levels.
    """
    sales, error = (np.nan_to_num(values[learner], nan=0.0) for values in (curves.sales, curves.error))
    n, doses = len(sales), len(menu.members)
    profit, cost, spread, middle = np.empty((4, n, doses))
    supported = np.empty((n, doses), dtype=bool)
    for place, members in enumerate(menu.members):
        everybody = np.full(n, place)
        given = menu.given(everybody, curves.supported)
        weight = given * menu.share / (given @ menu.share)[:, None]
        cost[:, place] = weight @ menu.levels
        profit[:, place] = (weight * (margin * sales)).sum(axis=1) - cost[:, place]
        spread[:, place] = margin * (weight * error).sum(axis=1)
        middle[:, place] = menu.middle(given)
        supported[:, place] = menu.enough(curves.supported & members, np.broadcast_to(members, given.shape))
    rows, lowest = np.arange(n), np.argmax(supported, axis=1)
    spread += spread[rows, lowest][:, None]
    spread[rows, lowest] = 0.0
    profit[:, ~menu.seen] = -np.inf
    return Expected(profit, cost, spread, supported, middle)


def best_doses(expected: Expected, *, min_gain: float = 0.0, caution: float = 0.5) -> NDArray[np.intp]:
    """The supported dose with the largest lower bound of its gain, as positions in the menu, (n,).

    The gain g(d) is over the customer's reference; its bound g(d) − z·(se_d + se_reference), z the normal quantile
    ``caution`` (.5: the gain itself). A customer who gains less than ``min_gain``, or nothing, gets the reference. Of
    equal doses the lower one is chosen.
    """
    rows, reference = np.arange(len(expected.profit)), expected.reference
    reference_profit = expected.profit[rows, reference][:, None]
    doubt = ndtri(caution) * (expected.error + expected.error[rows, reference][:, None])
    gain = np.subtract(
        expected.profit, reference_profit, out=np.full(expected.profit.shape, -np.inf), where=expected.supported
    )
    gain = np.where(expected.supported, gain - doubt, -np.inf)
    gain[rows, reference] = 0.0
    chosen = np.argmax(gain, axis=1)
    worth = gain[rows, chosen]
    return np.where((worth > 0) & (worth >= min_gain), chosen, reference)


def doses_within_budget(expected: Expected, budget: float, ids: NDArray[Any]) -> NDArray[np.intp]:
    """The doses that together earn most among those that together cost no more than ``budget``, (n,).

    With a price λ on money given away each customer gets the supported d that maximises profit(d) − λ·cost(d). Spending
    falls in λ; the smallest λ that keeps the budget is found by bisection (Everett 1963). Customers who are indifferent
    at it move to the dearer dose while money is left, the most profit per dollar first, ties by a hash of the id.
    Spending never exceeds the budget, and the loss to the optimum is less than one customer's gain.

    budget: money for all n customers together; profits are net of it already.  ids (n,).
    Raises InputError if even the cheapest supported doses cost more.
    """
    rows = np.arange(len(expected.profit))
    nothing = ~expected.supported.any(axis=1)
    allowed, profit = expected.supported.copy(), expected.profit.copy()
    # A customer without a supported dose gets the lowest of all, whatever that earns.
    allowed[nothing, 0], profit[nothing, 0] = True, 0.0
    cost = expected.cost
    profit = np.where(allowed, profit, -np.inf)

    def choose(price: float) -> NDArray[np.intp]:
        # Doses and their costs ascend, so argmax takes the cheapest of equal doses.
        return np.argmax(profit - price * cost, axis=1)

    def spent(doses: NDArray[np.intp]) -> float:
        return float(cost[rows, doses].sum())

    left = budget * (1 + ROUNDING)
    cheapest = np.argmax(allowed, axis=1)
    if spent(cheapest) > left:
        raise InputError(
            f"{SECTION}.budget: {budget / len(rows):g} per customer do not pay for the cheapest supported doses, "
            f"which cost {spent(cheapest) / len(rows):.4g}; raise the budget"
        )
    best = choose(0.0)
    if spent(best) <= left:
        return best
    low, high = 0.0, 1.0
    while spent(choose(high)) > left:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if spent(choose(middle)) <= left else (middle, high)
    kept, dearer = choose(high), choose(low)
    more = cost[rows, dearer] - cost[rows, kept]
    waiting = np.flatnonzero(more > 0)
    gain = (profit[rows, dearer] - profit[rows, kept])[waiting] / more[waiting]
    total = spent(kept)
    for row in waiting[np.lexsort((hash_uniform([str(name) for name in ids[waiting]], TIES), -gain))]:
        if total + more[row] <= left:
            kept[row] = dearer[row]
            total += float(more[row])
    return kept


def decide(curves: Curves, menu: Menu, margin: float, settings: Settings, ids: NDArray[Any]) -> pd.DataFrame:
    """The dose of every customer by every policy, (n, policies), in money: a level of the design.

    Where a dose of the menu stands for several levels, a rule names the one in the middle of those that are supported
    for the customer, a constant the one in the middle of all.

    ``constant_<dose>``: the same for all, for each dose of the menu.  ``best.<learner>``: ``best_doses``.
    ``pessimistic.<learner>``: by the lower bound of the gain.  ``budget.<learner>``: only if a budget is set.
    """
    doses = {constant(f"{dose:g}"): np.full(len(ids), dose) for dose in menu.labels}
    rows = np.arange(len(ids))
    for learner in curves.sales:
        expected = expected_profit(curves, learner, menu, margin)
        if settings.default is not None:
            expected = expected.with_default(int(menu.index_of(np.array([settings.default]))[0]))
        chosen = {
            BEST: best_doses(expected, min_gain=settings.min_gain),
            PESSIMISTIC: best_doses(expected, min_gain=settings.min_gain, caution=settings.caution),
        }
        if settings.budget is not None:
            chosen[BUDGET] = doses_within_budget(expected, settings.budget * len(ids), ids)
        doses |= {f"{rule}.{learner}": expected.dose[rows, positions] for rule, positions in chosen.items()}
    return pd.DataFrame(doses)


def champion_of(policies: pd.Index, settings: Settings, best_learner: str) -> str:
    """The policy to report, named before any randomised outcome is read.

    The parameter, or with ``auto`` the best doses (the best within the budget, if there is one) of the learner that
    explains most in customers of the log that were held out. Raises InputError for an unknown policy.
    """
    if settings.champion == AUTO:
        return f"{BEST if settings.budget is None else BUDGET}.{best_learner}"
    if settings.champion not in policies:
        raise InputError(
            f"{SECTION}.champion: {settings.champion!r} is no policy; it is {AUTO} or one of {', '.join(policies)}"
        )
    return settings.champion


def _pooled(customers: NDArray[np.int64], height: Floats, least: int) -> list[slice]:
    """Runs of levels with at least ``least`` each and the smallest sum of squares within; none if all have less."""
    count = len(customers)
    weight = np.concatenate([[0], np.cumsum(customers)])
    first = np.concatenate([[0.0], np.cumsum(customers * height)])
    second = np.concatenate([[0.0], np.cumsum(customers * height**2)])
    best, start = np.full(count + 1, np.inf), np.zeros(count + 1, dtype=np.intp)
    best[0] = 0.0
    for stop in range(1, count + 1):
        for begin in range(stop - 1, -1, -1):
            total = weight[stop] - weight[begin]
            if total < least or not np.isfinite(best[begin]):
                continue
            mean = (first[stop] - first[begin]) / total
            within = max(second[stop] - second[begin] - total * mean**2, 0.0)
            if best[begin] + within < best[stop]:
                best[stop], start[stop] = best[begin] + within, begin
    runs: list[slice] = []
    stop = count
    while stop > 0 and np.isfinite(best[stop]):
        runs.insert(0, slice(int(start[stop]), stop))
        stop = int(start[stop])
    return runs
