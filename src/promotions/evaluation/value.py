"""What policies earn per customer, with intervals, all on the same customers and the same resamples."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.inference.clusters import bootstrap_sums, one_sided_p_value
from promotions.inference.estimates import Estimate
from promotions.inference.simultaneous import Bands, simultaneous_bands
from promotions.scores import Scores

LEVELS = (0.025, 0.975)
TREAT_ALL, TREAT_NONE = "treat_all", "treat_none"


@dataclass(frozen=True)
class Gain:
    """Whether a difference is above 0: one-sided p-values of H₀ ≤ 0 against > 0, alone and among all policies.

    adjusted: the chance that the best of the policies seems this much better if none is better
    (``simultaneous_bands``).
    """

    p_value: float
    adjusted: float

    def named(self, name: str) -> dict[str, float]:
        """``{name_p_value, name_p_value_adjusted}``, as metrics files have it."""
        return {f"{name}_p_value": self.p_value, f"{name}_p_value_adjusted": self.adjusted}


@dataclass(frozen=True)
class PolicyValue:
    """Profit per customer of one policy.

    dr and ips are estimates with intervals; snips is self-normalised. The differences are paired: of the same customers
    and the same resamples. ``simultaneous``: dr with bounds that hold for all policies at once. ``better_than_none``,
    ``better_than_all``: the tests of the two differences. ``probability_of_loss``: share of resamples in which the
    policy earns less than treating nobody.
    """

    share_treated: float
    ips: Estimate
    snips: float
    dr: Estimate
    simultaneous: Estimate
    versus_none: Estimate
    better_than_none: Gain
    versus_all: Estimate
    better_than_all: Gain
    probability_of_loss: float

    @property
    def versus_best_constant(self) -> Estimate:
        """Profit over the better of treating all and treating nobody.

        The lesser of the two differences, and the lesser of the two bounds at either end. If the policy's lead over
        the better constant is θ = min(θ_none, θ_all), min(L_none, L_all) exceeds θ only if the lower bound of the
        smaller difference does (2.5 %; intersection–union, Berger 1982), and min(U_none, U_all) falls short of θ only
        if one of the two upper bounds does (5 % at most; 2.5 % where one constant is clearly the better one).
        Naming the better constant from the same customers would not have that property.
        """
        return Estimate(
            min(self.versus_none.value, self.versus_all.value),
            min(self.versus_none.ci_low, self.versus_all.ci_low),
            min(self.versus_none.ci_high, self.versus_all.ci_high),
        )

    @property
    def better_than_best_constant(self) -> float:
        """One-sided p-value of a lead over both constants: the larger of the two (intersection–union, Berger 1982)."""
        return max(self.better_than_none.p_value, self.better_than_all.p_value)


def mean_profits(scores: Scores, treat: NDArray[np.bool_], economics: Economics) -> NDArray[np.float64]:
    """Doubly robust profit per customer of each policy: V = mean_i π_i(treat_i), π from the scores Γ.

    With charging on treatment that is mean( R·Γ(π) − C·π ); Athey & Wager (2021), eq. 5.

    treat: (n, policies) boolean.  Returns (policies,).
    """
    profits = economics.profits(scores.dr)
    lead = profits[:, 1] - profits[:, 0]
    return profits[:, 0].mean() + np.array([lead[column].sum() for column in treat.T]) / len(lead)


def self_normalised(scores: Scores, treat: NDArray[np.bool_], economics: Economics) -> NDArray[np.float64]:
    """SNIPS profit per customer: Σ w·(profit of the observed arm before the contact's cost) / Σ w − mean contact cost,

    with w = 1{T = π(x)}/e_T. Swaminathan & Joachims (2015). treat: (n, policies). Returns (policies,).
    """
    contact = 0.0 if economics.charged == "on_response" else economics.cost
    earned = economics.profits(scores.ips)
    earned[:, 1] += contact * np.ones(len(earned))
    numerator = np.where(treat, earned[:, [1]], earned[:, [0]]).sum(axis=0)
    weight = np.where(treat, scores.weight[:, [1]], scores.weight[:, [0]]).sum(axis=0)
    paid = (treat * np.reshape(contact * np.ones(len(earned)), (-1, 1))).mean(axis=0)
    # If no customer is in the arm that the policy chooses, nothing is observed and nothing is earned.
    return numerator / np.where(weight > 0, weight, 1) - paid


def evaluate_policies(
    scores: Scores,
    decisions: pd.DataFrame,
    economics: Economics,
    clusters: NDArray[np.intp],
    replicates: int,
    rng: np.random.Generator,
) -> dict[str, PolicyValue]:
    """Value of every policy with 95 % percentile intervals from ``replicates`` cluster bootstrap samples.

    As many multiplier bootstrap samples give bands over all policies and p-values adjusted for their number. All are
    conditional on the fitted policies: they cover the luck of the evaluation customers, not the luck of the customers
    that the policies learned from.

    decisions: n rows of 0/1, one column a policy, with treat_all and treat_none among them.
    """
    treat = decisions.to_numpy(dtype=bool)
    names = list(decisions.columns)
    profits_dr, profits_ips = economics.profits(scores.dr), economics.profits(scores.ips)
    columns = np.column_stack(
        [
            np.where(treat, profits_dr[:, [1]], profits_dr[:, [0]]),
            np.where(treat, profits_ips[:, [1]], profits_ips[:, [0]]),
            np.ones(len(treat)),
        ]
    )
    sums = bootstrap_sums(columns, clusters, replicates, rng)
    resampled = sums[:, :-1] / sums[:, [-1]]
    observed = columns[:, :-1].mean(axis=0)
    dr, ips = slice(0, len(names)), slice(len(names), 2 * len(names))
    snips = self_normalised(scores, treat, economics)
    none, all_ = names.index(TREAT_NONE), names.index(TREAT_ALL)
    earned = columns[:, dr]

    def bands(over: int | None) -> Bands:
        lead = earned if over is None else earned - earned[:, [over]]
        mean = lead.mean(axis=0)
        return simultaneous_bands(mean, (lead - mean) / len(lead), clusters, rng, replicates=replicates)

    at_once, over_none_at_once, over_all_at_once = bands(None), bands(none), bands(all_)
    values = {}
    for index, name in enumerate(names):
        profit, profit_resampled = observed[dr][index], resampled[:, dr][:, index]
        over_none = profit_resampled - resampled[:, dr][:, none]
        over_all = profit_resampled - resampled[:, dr][:, all_]
        values[name] = PolicyValue(
            share_treated=float(treat[:, index].mean()),
            ips=_estimate(observed[ips][index], resampled[:, ips][:, index]),
            snips=float(snips[index]),
            dr=_estimate(profit, profit_resampled),
            simultaneous=Estimate(float(profit), float(at_once.low[index]), float(at_once.high[index])),
            versus_none=_estimate(profit - observed[dr][none], over_none),
            better_than_none=_gain(over_none_at_once, index),
            versus_all=_estimate(profit - observed[dr][all_], over_all),
            better_than_all=_gain(over_all_at_once, index),
            probability_of_loss=float((over_none < 0).mean()),
        )
    return values


def _gain(bands: Bands, index: int) -> Gain:
    alone = one_sided_p_value(float(bands.estimate[index]), float(bands.error[index]))
    return Gain(alone, float(bands.p_value[index]))


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    # The (B + 1)·p-th of B resamples; numpy's default is further inside and covers less.
    low, high = np.quantile(resampled, LEVELS, method="weibull")
    return Estimate(float(value), float(low), float(high))
