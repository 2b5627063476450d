"""What rules for a discount earn on customers whose discount was drawn by lot: by customer and by group of customers.

A rule gives each customer one level of the design or several, each of them as often as the design did, so its value
assumes only the lot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.discount.scores import DoseScores, Floats
from promotions.inference.clusters import Z_95, clustered_error, one_sided_p_value
from promotions.inference.estimates import Estimate
from promotions.inference.multiplicity import holm
from promotions.inference.simultaneous import REPLICATES, Bands, simultaneous_bands

# The first part of the name of a constant rule, as in ``constant_20``.
CONSTANT = "constant"


def constant(what: str) -> str:
    """The name of the rule that gives everybody ``what``."""
    return f"{CONSTANT}_{what}"


def is_constant(policy: str) -> bool:
    """Whether a rule is the same for everybody."""
    return policy.startswith(constant(""))


@dataclass(frozen=True)
class RuleValue:
    """Profit per customer of one rule, in money.

    mean_dose: discount given per customer.  share_given: of customers with any discount.  effective_customers:
    (Σ w)²/Σ w² of the weights, the number of customers behind the estimate (Kish 1965).  dr and ips with 95 %
    intervals, snips the self-normalised mean Σ wY/Σ w.  simultaneous: dr with bounds that hold for all rules at once.
    versus_none: over no discount; None if the design has no such level.  p_none: one-sided, alone and adjusted for the
    number of rules.  versus_constants: over each constant that the rules could choose, by its name.
    p_best_constant_holm: of the lead over the best constant, Holm's over the rules; None for a constant.
    """

    mean_dose: float
    share_given: float
    effective_customers: float
    ips: Estimate
    snips: float
    dr: Estimate
    simultaneous: Estimate
    versus_none: Estimate | None
    p_none: float
    p_none_adjusted: float
    versus_constants: dict[str, Estimate]
    p_constants: dict[str, float]
    p_best_constant_holm: float | None = None

    @property
    def best_constant(self) -> str:
        """The constant with the highest estimate on these customers, so with the smallest lead over it."""
        return min(self.versus_constants, key=lambda name: (self.versus_constants[name].value, name))

    @property
    def versus_best_constant(self) -> Estimate:
        """Profit over the best constant, whichever it is.

        The least of the differences to all constants, with the least of their bounds at either end. If the lead over
        the truly best constant c* is θ = min_c θ_c, then min_c L_c exceeds it only if L_c* does: 2.5 %
        (intersection–union, Berger 1982). No constant has to be named in advance, and none gains from a
        choice on the customers that judge it.
        """
        leads = self.versus_constants.values()
        return Estimate(
            min(lead.value for lead in leads), min(lead.ci_low for lead in leads), min(lead.ci_high for lead in leads)
        )

    @property
    def p_best_constant(self) -> float:
        """One-sided p-value of a lead over every constant: the largest of theirs (intersection–union)."""
        return max(self.p_constants.values())

    def to_dict(self) -> dict[str, float]:
        """The numbers under their names in metrics and tables, without the missing ones."""
        numbers = {
            "mean_dose": self.mean_dose,
            "share_given": self.share_given,
            "effective_customers": self.effective_customers,
            **self.ips.named_with_error("ips"),
            "snips": self.snips,
            **self.dr.named_with_error("dr"),
            "dr_simultaneous_ci_low": self.simultaneous.ci_low,
            "dr_simultaneous_ci_high": self.simultaneous.ci_high,
        }
        if self.versus_none is not None:
            numbers |= self.versus_none.named_with_error("vs_no_discount")
            numbers |= {"vs_no_discount_p_value": self.p_none, "vs_no_discount_p_value_adjusted": self.p_none_adjusted}
        numbers |= self.versus_best_constant.named("vs_best_constant")
        numbers["vs_best_constant_p_value"] = self.p_best_constant
        if self.p_best_constant_holm is not None:
            numbers["vs_best_constant_p_value_holm"] = self.p_best_constant_holm
        return numbers


def value_of_rules(
    given: Mapping[str, NDArray[np.bool_]],
    rivals: Sequence[str],
    none: str | None,
    cost: Floats,
    scores: DoseScores,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> dict[str, RuleValue]:
    """Value of every rule, all on the same customers, so that differences are paired.

    Intervals are normal with the influence functions' errors, and conditional on the rules: they cover the
    chance in these customers, not in those that the rules were learned from.

    given: (n, L) by rule, the levels that it gives to each customer.  rivals: the constants among them that a rule
    could choose.  none: the one that gives no discount, if there is one.  cost (L,): money that a level gives away.
    """
    # Sorted, because the bands draw signs by position.
    order = np.lexsort([*scores.model.T[::-1], scores.level, scores.profit])
    scores, given = scores.rows(order), {name: levels[order] for name, levels in given.items()}
    names, each = list(given), np.arange(len(order))
    dr, dr_influence = _all_values(scores, given)
    ips, ips_influence = _all_values(scores.without_model(), given)
    at_once, over_none = _bands(dr, dr_influence, rng, replicates), None
    without = names.index(none) if none is not None else None
    if without is not None:
        over_none = _bands(dr - dr[without], dr_influence - dr_influence[:, [without]], rng, replicates)

    def estimate(value: float, influence: Floats) -> tuple[Estimate, float]:
        error = clustered_error(influence, each)
        return Estimate(value, value - Z_95 * error, value + Z_95 * error, error), one_sided_p_value(value, error)

    def lead(index: int, rival: int) -> tuple[Estimate, float]:
        return estimate(float(dr[index] - dr[rival]), dr_influence[:, index] - dr_influence[:, rival])

    leads = {name: {rival: lead(index, names.index(rival)) for rival in rivals} for index, name in enumerate(names)}
    rules = [name for name in names if not is_constant(name)]
    p_values = holm(np.array([max(p_value for _, p_value in leads[name].values()) for name in rules]))
    adjusted = dict(zip(rules, map(float, p_values), strict=True))
    values = {}
    for index, name in enumerate(names):
        versus_none, p_none = lead(index, without) if without is not None else (None, 1.0)
        weight, money = scores.weights(given[name]), mean_cost(given[name], scores.share, cost)
        total = float(weight.sum())
        values[name] = RuleValue(
            mean_dose=float(money.mean()),
            share_given=float((money > 0).mean()),
            effective_customers=total**2 / float((weight**2).sum()) if total else 0.0,
            ips=estimate(float(ips[index]), ips_influence[:, index])[0],
            # No customer happened to get the rule's levels, so there is no estimate.
            snips=float(weight @ scores.profit) / total if total else 0.0,
            dr=estimate(float(dr[index]), dr_influence[:, index])[0],
            simultaneous=Estimate(float(dr[index]), float(at_once.low[index]), float(at_once.high[index])),
            versus_none=versus_none,
            p_none=p_none,
            p_none_adjusted=max(p_none, float(over_none.p_value[index])) if over_none is not None else 1.0,
            versus_constants={rival: lead_estimate for rival, (lead_estimate, _) in leads[name].items()},
            p_constants={rival: p_value for rival, (_, p_value) in leads[name].items()},
            p_best_constant_holm=adjusted.get(name),
        )
    return values


def mean_cost(given: NDArray[np.bool_], share: Floats, cost: Floats) -> Floats:
    """Mean discount that each customer gets, (n,).  given: (n, L).  share, cost: (L,)."""
    return np.asarray(given @ (share * cost) / (given @ share))


def values_table(values: Mapping[str, RuleValue]) -> pd.DataFrame:
    """``policy`` and the numbers of ``RuleValue.to_dict``, a row a rule; absent numbers are missing."""
    rows: list[dict[str, Any]] = [{"policy": name, **value.to_dict()} for name, value in values.items()]
    return pd.DataFrame(rows)


def _all_values(scores: DoseScores, given: Mapping[str, NDArray[np.bool_]]) -> tuple[Floats, Floats]:
    results = [scores.value(levels) for levels in given.values()]
    return np.array([value for value, _ in results]), np.column_stack([influence for _, influence in results])


def _bands(values: Floats, influence: Floats, rng: np.random.Generator, replicates: int) -> Bands:
    return simultaneous_bands(values, influence, None, rng, replicates=replicates)
