"""Metrics as they stand in metrics/*.json: flat, named, in money per customer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.evaluation import ranking
from promotions.evaluation.heterogeneity import best_linear_predictor
from promotions.evaluation.scores import Scores
from promotions.evaluation.segments import rank_within
from promotions.evaluation.value import PolicyValue

# Per cent of the customers, the best first.
SHARES = (10, 20, 30)


@dataclass(frozen=True)
class Truth:
    """A simulation's truth about n customers: mean outcomes of the arms (n, 2)."""

    means: NDArray[np.float64]

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Truth":
        """From the columns mu0 and tau of data/truth/customers.parquet."""
        mu0, tau = frame["mu0"].to_numpy(np.float64), frame["tau"].to_numpy(np.float64)
        return cls(np.column_stack([mu0, mu0 + tau]))

    @property
    def effect(self) -> NDArray[np.float64]:
        """True effect of each customer, (n,)."""
        return np.asarray(self.means[:, 1] - self.means[:, 0])

    def profit(self, treat: NDArray[np.bool_], economics: Economics) -> float:
        """True profit per customer of a policy."""
        profits = economics.profits(self.means)
        return float(np.where(treat, profits[:, 1], profits[:, 0]).mean())

    def oracle_profit(self, economics: Economics) -> float:
        """True profit per customer of treating exactly those for whom it pays."""
        return float(economics.profits(self.means).max(axis=1).mean())


def policy_metrics(value: PolicyValue) -> dict[str, float]:
    """One policy's entry in metrics/policies.json."""
    return {
        "share_treated": value.share_treated,
        **value.ips.named("ips"),
        "snips": value.snips,
        **value.dr.named("dr"),
        **value.versus_none.named("dr_vs_treat_none"),
        **value.versus_all.named("dr_vs_treat_all"),
        "probability_of_loss": value.probability_of_loss,
    }


def headline(
    champion: str,
    value: PolicyValue,
    n_final: int,
    treat: NDArray[np.bool_],
    economics: Economics,
    truth: Truth | None,
) -> dict[str, float | int | str]:
    """metrics/headline.json: what the champion earns, and over what."""
    metrics: dict[str, float | int | str] = {
        "champion": champion,
        "profit_per_customer": value.dr.value,
        "profit_ci_low": value.dr.ci_low,
        "profit_ci_high": value.dr.ci_high,
        **value.versus_none.named("lift_over_treat_none"),
        **value.versus_all.named("lift_over_treat_all"),
        **value.versus_best_constant.named("lift_over_best_constant"),
        "share_treated": value.share_treated,
        "probability_of_loss": value.probability_of_loss,
        "n_final": n_final,
    }
    if truth is not None:
        true_profit, oracle = truth.profit(treat, economics), truth.oracle_profit(economics)
        metrics |= {
            "true_profit_per_customer": true_profit,
            "oracle_profit_per_customer": oracle,
            "regret_per_customer": oracle - true_profit,
        }
    return metrics


def learner_metrics(
    scores: Scores,
    cate: NDArray[np.float64],
    clusters: NDArray[np.intp],
    truth: Truth | None,
    segment: NDArray[np.integer] | None = None,
) -> dict[str, float]:
    """One learner's entry in metrics/learners.json. Definitions: ``promotions.evaluation.ranking``, ``heterogeneity``.

    segment: whose prediction comes from which fit, if from several; a customer's rank is then its place in its segment.
    With the truth also its true uplift at each share; that of an oracle, who ranks by the truth, is the most there is.
    """
    effect = scores.effect
    several = segment is not None and np.ptp(segment) > 0
    priority = rank_within(cate, segment) if segment is not None and several else cate
    linear = best_linear_predictor(effect, cate, clusters)
    metrics = {
        **{f"uplift_at_{share}": ranking.uplift_at(effect, priority, share / 100) for share in SHARES},
        **ranking.qini(effect, priority, clusters).named("qini"),
        "qini_p_value": ranking.qini_p_value(effect, priority, clusters),
        **ranking.autoc(effect, priority, clusters).named("autoc"),
        "autoc_p_value": ranking.autoc_p_value(effect, priority, clusters),
        "auuc": ranking.auuc(effect, priority, clusters).value,
        **linear.slope.named("calibration_slope"),
        "calibration_slope_p_value": linear.p_value,
        "dr_score": ranking.dr_score(effect, cate),
    }
    if truth is not None:
        both_vary = np.ptp(cate) > 0 and np.ptp(truth.effect) > 0
        metrics["rmse"] = float(np.sqrt(np.mean((cate - truth.effect) ** 2)))
        metrics["correlation"] = float(np.corrcoef(cate, truth.effect)[0, 1]) if both_vary else 0.0
        metrics |= {
            f"true_uplift_at_{share}": ranking.uplift_at(truth.effect, priority, share / 100) for share in SHARES
        }
    return metrics
