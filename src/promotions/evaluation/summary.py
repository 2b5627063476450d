"""Metrics as metrics/*.json holds them: flat, named, in money per customer."""

import numpy as np
from numpy.typing import NDArray

from promotions.economics import Economics
from promotions.evaluation import ranking
from promotions.evaluation.arms import metrics_as_elsewhere
from promotions.evaluation.heterogeneity import best_linear_predictor, first_minus_last_group
from promotions.evaluation.reporting import Reporting, Truth
from promotions.evaluation.value import PolicyValue
from promotions.inference.ties import find_ties

# Per cent of the customers, the best first.
SHARES = (10, 20, 30)
# Equal parts of a ranking whose effects are compared: the first with the last.
GROUPS = 5


def policy_metrics(value: PolicyValue) -> dict[str, float]:
    """One policy's entry in metrics/policies.json."""
    return {
        "share_treated": value.share_treated,
        **value.ips.named("ips"),
        "snips": value.snips,
        **value.dr.named("dr"),
        "dr_simultaneous_ci_low": value.simultaneous.ci_low,
        "dr_simultaneous_ci_high": value.simultaneous.ci_high,
        **value.versus_none.named("dr_vs_treat_none"),
        **value.better_than_none.named("dr_vs_treat_none"),
        **value.versus_all.named("dr_vs_treat_all"),
        **value.better_than_all.named("dr_vs_treat_all"),
        "probability_of_loss": value.probability_of_loss,
    }


def headline(
    champion: str,
    learner: str,
    value: PolicyValue,
    n_final: int,
    treat: NDArray[np.bool_],
    economics: Economics,
    truth: Truth | None,
) -> dict[str, float | int | str]:
    """metrics/headline.json: what the champion earns. learner: whose effects are shown beside it."""
    metrics: dict[str, float | int | str] = {
        "champion": champion,
        "learner": learner,
        "profit_per_customer": value.dr.value,
        "profit_ci_low": value.dr.ci_low,
        "profit_ci_high": value.dr.ci_high,
        **value.versus_none.named("lift_over_treat_none"),
        **value.versus_all.named("lift_over_treat_all"),
        **value.versus_best_constant.named("lift_over_best_constant"),
        "lift_over_best_constant_p_value": value.better_than_best_constant,
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


def learner_metrics(customers: Reporting, cate: NDArray[np.float64]) -> dict[str, float]:
    """One learner's entry in metrics/learners.json. Definitions: ``promotions.evaluation.ranking``, ``heterogeneity``.

    With a truth the entry also has the true uplift at each share; an oracle, which ranks by the truth, has the highest.
    The metrics of ``promotions.evaluation.arms`` are added for comparison with other packages: ``qini_raw``,
    ``uplift_at_10_overall`` and so on; see ``docs/reference/definitions.md``.

    cate: (n,).
    """
    effect, clusters, truth = customers.scores.effect, customers.clusters, customers.truth
    priority = find_ties(customers.priority(cate))
    linear = best_linear_predictor(effect, cate, clusters)
    ends = first_minus_last_group(effect, priority, GROUPS)
    metrics: dict[str, float] = {
        **{f"uplift_at_{share}": ranking.uplift_at(effect, priority, share / 100) for share in SHARES},
        **ranking.qini(effect, priority, clusters).named("qini"),
        "qini_p_value": ranking.qini_p_value(effect, priority, clusters),
        **ranking.autoc(effect, priority, clusters).named("autoc"),
        "autoc_p_value": ranking.autoc_p_value(effect, priority, clusters),
        "auuc": ranking.auuc(effect, priority, clusters).value,
        **linear.slope.named("calibration_slope"),
        "calibration_slope_p_value": linear.p_value,
        **ends.estimate(clusters).named("first_minus_last_fifth"),
        "first_minus_last_fifth_p_value": ends.p_value(clusters),
        "dr_score": ranking.dr_score(effect, cate),
    }
    if truth is not None:
        both_vary = np.ptp(cate) > 0 and np.ptp(truth.effect) > 0
        metrics["rmse"] = float(np.sqrt(np.mean((cate - truth.effect) ** 2)))
        metrics["correlation"] = float(np.corrcoef(cate, truth.effect)[0, 1]) if both_vary else 0.0
        metrics |= {
            f"true_uplift_at_{share}": ranking.uplift_at(truth.effect, priority, share / 100) for share in SHARES
        }
    return metrics | metrics_as_elsewhere(customers.arms, priority, SHARES)
