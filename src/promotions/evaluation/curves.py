"""The data of the plots: long frames, one row a point, one series a learner."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.evaluation.budgets import budget_curve
from promotions.evaluation.heterogeneity import group_effects
from promotions.evaluation.reporting import Reporting
from promotions.evaluation.value import TREAT_ALL, PolicyValue
from promotions.inference.simultaneous import simultaneous_bands
from promotions.inference.ties import RankGroups, find_ties, gain_curve
from promotions.policies.threshold import threshold

ORACLE, RANDOM = "oracle", "random"
SHARES = np.linspace(0, 1, 101)
# Points of a curve with a band: steps of 2 % of the customers.
BUDGET_SHARES = np.linspace(0, 1, 51)
DECILES = 10
# Cost ratios of the curve and of the table, as multiples of today's C/R.
CURVE_MULTIPLES = np.linspace(0, 2.5, 51)
TABLE_MULTIPLES = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5])


def ratio_grid(economics: Economics, effect: float, multiples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost ratios around today's C/R; around the size of the average effect where a contact costs or earns nothing."""
    centre = economics.ratio if 0 < economics.ratio < np.inf else abs(effect) or 1.0
    return multiples * centre


def profit_by_ratio(
    customers: Reporting,
    cates: Mapping[str, NDArray[np.float64]],
    ratios: NDArray[np.float64],
    rng: np.random.Generator | None = None,
    replicates: int = 0,
) -> pd.DataFrame:
    """``ratio, profit, learner``: doubly robust profit per customer over treating nobody, at cost = ratio · revenue.

    Each learner's rule is the threshold at that ratio; ``treat_all`` treats everybody. With a truth, ``oracle`` treats
    everyone whom it truly pays to treat, and its profit is the true one. ``rng`` adds ``band_low, band_high``, which
    cover a learner's whole curve at once in 95 of 100 experiments (``simultaneous_bands``); the oracle needs none.
    """
    economics = [customers.economics.at_ratio(float(ratio)) for ratio in ratios]
    profits = [each.profits(customers.scores.dr) for each in economics]
    lead = np.column_stack([arms[:, 1] - arms[:, 0] for arms in profits])
    curves = []
    for name, cate in [*cates.items(), (TREAT_ALL, None)]:
        gained = lead
        if cate is not None:
            gains = [each.expected_gain(cate, customers.treated_outcome) for each in economics]
            gained = lead * np.column_stack([threshold(gain) for gain in gains])
        mean = gained.mean(axis=0)
        curve = pd.DataFrame({"ratio": ratios, "profit": mean})
        if rng is not None:
            influence = (gained - mean) / len(gained)
            bands = simultaneous_bands(mean, influence, customers.clusters, rng, replicates=replicates)
            curve = curve.assign(band_low=bands.low, band_high=bands.high)
        curves.append(curve.assign(learner=name))
    if customers.truth is not None:
        true = [each.profits(customers.truth.means) for each in economics]
        best = [float(np.maximum(arms[:, 1] - arms[:, 0], 0).mean()) for arms in true]
        curves.append(pd.DataFrame({"ratio": ratios, "profit": best, "learner": ORACLE}))
    return pd.concat(curves, ignore_index=True)


def qini_curves(effect: NDArray[np.float64], cates: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """``share_treated, incremental_outcome, learner``, with the straight line of a random order."""
    curves = {name: gain_curve(effect, cate, SHARES) for name, cate in cates.items()}
    curves[RANDOM] = SHARES * effect.mean()
    return pd.concat(
        pd.DataFrame({"share_treated": SHARES, "incremental_outcome": curve, "learner": name})
        for name, curve in curves.items()
    )


def decile_uplifts(
    customers: Reporting,
    cates: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
    replicates: int,
) -> pd.DataFrame:
    """``decile, predicted, uplift, ci_low, ci_high, band_low, band_high, learner``: GATES of tenths, the best first.

    predicted: mean predicted effect of the tenth.  ci: of each tenth alone; band: of a learner's ten at once.
    """
    tables = []
    for name, cate in cates.items():
        place = find_ties(customers.priority(cate))
        gates = group_effects(customers.scores.effect, place, customers.clusters, DECILES, rng, replicates=replicates)
        renamed = gates.to_frame().rename(
            columns={
                "group": "decile",
                "effect": "uplift",
                "simultaneous_ci_low": "band_low",
                "simultaneous_ci_high": "band_high",
            }
        )
        renamed.insert(1, "predicted", RankGroups.equal(place, DECILES).mean(cate))
        tables.append(renamed.assign(learner=name))
    return pd.concat(tables, ignore_index=True)


def value_table(values: Mapping[str, PolicyValue], champion: str) -> pd.DataFrame:
    """``policy, rule, learner, profit, ci_low, ci_high, champion``: profit over treating nobody, best first."""
    rows = []
    for name, value in values.items():
        rule, _, learner = name.partition(".")
        gain = value.versus_none
        rows.append((name, rule, learner or "everyone", gain.value, gain.ci_low, gain.ci_high, name == champion))
    columns = ["policy", "rule", "learner", "profit", "ci_low", "ci_high", "champion"]
    return pd.DataFrame(rows, columns=columns).sort_values(["profit", "policy"], ascending=[False, True])


def profit_by_share(
    customers: Reporting,
    learner: str,
    cate: NDArray[np.float64],
    rng: np.random.Generator,
    replicates: int,
) -> pd.DataFrame:
    """``share, spent, profit, …, learner`` of ``budget_curve``: the best share of one learner's ranking treated.

    Customers are ranked by expected gain.
    """
    economics = customers.economics
    gain = economics.expected_gain(cate, customers.treated_outcome)
    profits = economics.profits(customers.scores.dr)
    curve = budget_curve(
        profits[:, 1] - profits[:, 0],
        customers.priority(gain),
        economics.expected_charge(customers.treated_outcome),
        customers.clusters,
        shares=BUDGET_SHARES,
        replicates=replicates,
        rng=rng,
    )
    return curve.assign(learner=learner)


def plot_tables(
    customers: Reporting,
    values: Mapping[str, PolicyValue],
    champion: str,
    cates: Mapping[str, NDArray[np.float64]],
    shown: str,
    rng: np.random.Generator,
    replicates: int,
) -> dict[str, pd.DataFrame]:
    """The frames above under the names of their files.

    shown: the learner whose budget curve is drawn.
    """
    effect, economics = customers.scores.effect, customers.economics
    curve, table = (
        ratio_grid(economics, float(effect.mean()), multiples) for multiples in (CURVE_MULTIPLES, TABLE_MULTIPLES)
    )
    at_few_ratios = profit_by_ratio(customers, cates, table)
    return {
        "policy_values": value_table(values, champion),
        "profit_by_cost_ratio": profit_by_ratio(customers, cates, curve, rng, replicates),
        "profit_table": at_few_ratios[~at_few_ratios["learner"].isin([TREAT_ALL, ORACLE])],
        "profit_by_share": profit_by_share(customers, shown, cates[shown], rng, replicates),
        "qini": qini_curves(effect, {name: customers.priority(cate) for name, cate in cates.items()}),
        "uplift_by_decile": decile_uplifts(customers, cates, rng, replicates),
    }
