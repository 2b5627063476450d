"""The data of the plots: long frames, one row a point, one series a learner."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.evaluation.ranking import gain_curve, uplift_by_group
from promotions.evaluation.scores import Scores
from promotions.evaluation.value import TREAT_ALL, PolicyValue
from promotions.policies.threshold import threshold

ORACLE, RANDOM = "oracle", "random"
SHARES = np.linspace(0, 1, 101)
DECILES = 10
# Cost ratios of the curve and of the table, as multiples of today's C/R.
CURVE_MULTIPLES = np.linspace(0, 2.5, 51)
TABLE_MULTIPLES = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5])


def ratio_grid(economics: Economics, effect: float, multiples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cost ratios around today's C/R; around the size of the average effect where a contact costs or earns nothing."""
    centre = economics.ratio if 0 < economics.ratio < np.inf else abs(effect) or 1.0
    return multiples * centre


def profit_by_ratio(
    scores: Scores,
    cates: Mapping[str, NDArray[np.float64]],
    treated_outcome: NDArray[np.float64],
    economics: Economics,
    ratios: NDArray[np.float64],
    truth: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """``ratio, profit, learner``: doubly robust profit per customer over treating nobody, at cost = ratio · revenue.

    Each learner's rule is the threshold at that ratio; ``treat_all`` treats everybody. With ``truth`` (n, 2), the mean
    outcomes of the two arms, ``oracle`` treats whom it truly pays to treat, and its profit is the true one.
    """
    rows = []
    for ratio in ratios:
        at_ratio = economics.at_ratio(float(ratio))
        profits = at_ratio.profits(scores.dr)
        lead = profits[:, 1] - profits[:, 0]
        for name, cate in cates.items():
            treated = threshold(at_ratio.expected_gain(cate, treated_outcome))
            rows.append((ratio, float(lead[treated].sum() / len(lead)), name))
        rows.append((ratio, float(lead.mean()), TREAT_ALL))
        if truth is not None:
            true_profits = at_ratio.profits(truth)
            rows.append((ratio, float(np.maximum(true_profits[:, 1] - true_profits[:, 0], 0).mean()), ORACLE))
    return pd.DataFrame(rows, columns=["ratio", "profit", "learner"])


def qini_curves(effect: NDArray[np.float64], cates: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """``share_treated, incremental_outcome, learner``, with the straight line of a random order."""
    curves = {name: gain_curve(effect, cate, SHARES) for name, cate in cates.items()}
    curves[RANDOM] = SHARES * effect.mean()
    return pd.concat(
        pd.DataFrame({"share_treated": SHARES, "incremental_outcome": curve, "learner": name})
        for name, curve in curves.items()
    )


def decile_uplifts(
    effect: NDArray[np.float64], cates: Mapping[str, NDArray[np.float64]], clusters: NDArray[np.intp]
) -> pd.DataFrame:
    """``decile, uplift, ci_low, ci_high, learner``; decile 1 holds the customers with the largest predicted effect."""
    return pd.DataFrame(
        [
            (decile, part.value, part.ci_low, part.ci_high, name)
            for name, cate in cates.items()
            for decile, part in enumerate(uplift_by_group(effect, cate, clusters, DECILES), start=1)
        ],
        columns=["decile", "uplift", "ci_low", "ci_high", "learner"],
    )


def value_table(values: Mapping[str, PolicyValue], champion: str) -> pd.DataFrame:
    """``policy, rule, learner, profit, ci_low, ci_high, champion``: profit over treating nobody, best first."""
    rows = []
    for name, value in values.items():
        rule, _, learner = name.partition(".")
        gain = value.versus_none
        rows.append((name, rule, learner or "everyone", gain.value, gain.ci_low, gain.ci_high, name == champion))
    columns = ["policy", "rule", "learner", "profit", "ci_low", "ci_high", "champion"]
    return pd.DataFrame(rows, columns=columns).sort_values(["profit", "policy"], ascending=[False, True])


def plot_tables(
    scores: Scores,
    values: Mapping[str, PolicyValue],
    champion: str,
    cates: Mapping[str, NDArray[np.float64]],
    places: Mapping[str, NDArray[np.float64]],
    treated_outcome: NDArray[np.float64],
    economics: Economics,
    clusters: NDArray[np.intp],
    truth: NDArray[np.float64] | None,
) -> dict[str, pd.DataFrame]:
    """The frames above under the names of their files.

    places: what ranks customers: the effects themselves, or places within segments (``segments.rank_within``).
    """
    effect = scores.effect
    curve, table = (
        ratio_grid(economics, float(effect.mean()), multiples) for multiples in (CURVE_MULTIPLES, TABLE_MULTIPLES)
    )
    at_few_ratios = profit_by_ratio(scores, cates, treated_outcome, economics, table)
    return {
        "policy_values": value_table(values, champion),
        "profit_by_cost_ratio": profit_by_ratio(scores, cates, treated_outcome, economics, curve, truth),
        "profit_table": at_few_ratios[at_few_ratios["learner"] != TREAT_ALL],
        "qini": qini_curves(effect, places),
        "uplift_by_decile": decile_uplifts(effect, places, clusters),
    }
