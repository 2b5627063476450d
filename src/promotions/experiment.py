"""Is this experiment sound? Its effect, its share of treated customers, its balance, and what must not be a feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.boosting import Boosting, make_classifier
from promotions.customers import Customers
from promotions.encoding import fit_encoder
from promotions.errors import InputError
from promotions.inference import cluster_codes, clustered_error, sum_by_cluster
from promotions.splitting import assign_folds, clusters_of
from promotions.validation import require_choice, require_keys

# Small and quick: it has to notice that arms differ, not to describe how.
ASSIGNMENT_MODEL = Boosting(trees=40, leaves=8, learning_rate=0.1, min_leaf=100)
ASSIGNMENT_FOLDS = 3
CHECKS = ("alpha", "on_srm", "on_post_treatment")
ASSIGNMENT_DRAWS = 999
# Of a standard deviation: what is left of an exact zero after adding up.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Soundness:
    """What was found. ``metrics`` as in metrics/experiment.json; ``balance`` one row a matrix column, worst first."""

    metrics: dict[str, float | int | str | bool]
    balance: pd.DataFrame
    post_treatment: list[str]
    sample_ratio_is_sound: bool


@dataclass(frozen=True)
class ArmMeans:
    """Means of the two arms, weighted by the design, and the effect with its standard error."""

    control: float
    treated: float
    effect: float
    standard_error: float


def arm_means(
    values: NDArray[np.float64],
    treatment: NDArray[np.int8],
    propensity: NDArray[np.float64],
    clusters: NDArray[np.intp],
) -> ArmMeans:
    """Hájek means of the arms and their difference.

    mean_a = Σ w_i v_i / Σ w_i over customers with T = a, w_i = 1 / P(T_i = a); with a constant propensity the plain
    mean of the arm. The standard error comes from the influence function w_1(v − mean_1)/W_1 − w_0(v − mean_0)/W_0,
    summed by cluster. Source: Hájek (1971); Lunceford & Davidian (2004).
    """
    treated = treatment == 1
    weights = np.where(treated, 1 / propensity, 1 / (1 - propensity))
    weight_treated, weight_control = weights * treated, weights * ~treated
    mean_treated = float(weight_treated @ values / weight_treated.sum())
    mean_control = float(weight_control @ values / weight_control.sum())
    influence = weight_treated * (values - mean_treated) / weight_treated.sum()
    influence -= weight_control * (values - mean_control) / weight_control.sum()
    error = clustered_error(influence, clusters)
    return ArmMeans(mean_control, mean_treated, mean_treated - mean_control, error)


def examine(customers: Customers, checks: Mapping[str, Any], rng: np.random.Generator) -> Soundness:
    """Measure the experiment.

    * Sample ratio mismatch: is the number treated what the design's propensities promise? Exact binomial test where
      the propensity is constant, else the normal limit of the Poisson-binomial.
    * Balance: for each column of the encoded features the difference of the arms' means over their pooled standard
      deviation (``smd``), and a test of it. Under randomisation a feature measured before treatment cannot depend on
      treatment, so one that does (Holm-corrected p below ``checks["alpha"]``) was measured after it.
    * Assignment: can a classifier tell the arms apart? Cross-validated AUC, within folds; its one-sided p-value
      compares with assignments drawn anew from the design (Lopez-Paz & Oquab 2017, with a randomisation test).
    """
    require_keys(checks, CHECKS, "checks")
    alpha = _alpha(checks)
    frame = customers.frame
    treatment = frame["treatment"].to_numpy()
    propensity = frame["propensity"].to_numpy()
    cluster_names = clusters_of(frame["customer_id"], frame.get("cluster_id"))
    clusters = cluster_codes(cluster_names)
    encoder = fit_encoder(frame, customers.features)
    if not encoder.columns:
        names = ", ".join(map(repr, customers.features))
        raise InputError(f"no feature has a single value ({names}); at least one known before treatment is needed")
    matrix = encoder.transform(frame)

    outcome = arm_means(frame["outcome"].to_numpy(), treatment, propensity, clusters)
    ratio_p = sample_ratio_p_value(treatment, propensity, clusters)
    balance = balance_table(matrix, encoder.columns, treatment, propensity, clusters)
    source = dict(zip(encoder.columns, encoder.sources, strict=True))
    flagged = {source[column] for column in balance.loc[balance["p_value_holm"] < alpha, "column"]}
    folds = assign_folds(cluster_names, ASSIGNMENT_FOLDS, "assignment")
    auc, auc_p = assignment_test(matrix, treatment, propensity, clusters, folds, rng)
    worst = balance.iloc[0]
    # Student's t, because there may be few clusters.
    margin = float(stats.t.ppf(0.975, max(int(clusters.max()), 1))) * outcome.standard_error
    return Soundness(
        metrics={
            "n": len(frame),
            "share_treated": float(treatment.mean()),
            "control_mean": outcome.control,
            "treated_mean": outcome.treated,
            "ate": outcome.effect,
            "ate_se": outcome.standard_error,
            "ate_ci_low": outcome.effect - margin,
            "ate_ci_high": outcome.effect + margin,
            "srm_p_value": ratio_p,
            "max_abs_smd": abs(float(worst["smd"])),
            "max_abs_smd_feature": str(worst["column"]),
            "assignment_auc": auc,
            "assignment_auc_p_value": auc_p,
            "features_dropped": len(customers.dropped),
        },
        balance=balance,
        post_treatment=[name for name in customers.features if name in flagged],
        sample_ratio_is_sound=ratio_p >= alpha,
    )


def sample_ratio_p_value(
    treatment: NDArray[np.int8], propensity: NDArray[np.float64], clusters: NDArray[np.intp]
) -> float:
    """Two-sided p-value of the number treated under the design.

    Customers by themselves: exact binomial, or normal with variance Σ e(1 − e) where propensities differ. In clusters
    they may have been drawn together: normal, with the variance Σ_g (Σ_{i in g} T_i − e_i)².
    """
    excess = sum_by_cluster(treatment - propensity, clusters)
    if len(excess) == len(treatment) and np.ptp(propensity) == 0:
        return float(stats.binomtest(int(treatment.sum()), len(treatment), float(propensity[0])).pvalue)
    variance = (propensity * (1 - propensity)).sum() if len(excess) == len(treatment) else (excess**2).sum()
    # Each cluster exactly as designed, as in matched pairs.
    if variance <= NEGLIGIBLE * len(treatment):
        return 1.0
    return float(2 * stats.norm.sf(abs(excess.sum()) / np.sqrt(variance)))


def balance_table(
    matrix: NDArray[np.float64],
    columns: list[str],
    treatment: NDArray[np.int8],
    propensity: NDArray[np.float64],
    clusters: NDArray[np.intp],
) -> pd.DataFrame:
    """``column, smd, p_value, p_value_holm``, largest |smd| first. Constant columns have smd 0 and p 1."""
    rows = []
    freedom = int(clusters.max())
    for name, values in zip(columns, matrix.T, strict=True):
        means = arm_means(values, treatment, propensity, clusters)
        spread = np.sqrt((values[treatment == 1].var() + values[treatment == 0].var()) / 2)
        if max(abs(means.effect), means.standard_error) <= NEGLIGIBLE * spread:
            rows.append((name, 0.0, 1.0))  # the same in both arms of every cluster, as in matched pairs
        elif spread > 0:
            t_statistic = abs(means.effect) / max(means.standard_error, NEGLIGIBLE * spread)
            rows.append((name, means.effect / spread, 2 * stats.t.sf(t_statistic, freedom)))
        elif values[treatment == 1][0] != values[treatment == 0][0]:
            rows.append((name, float(np.sign(means.effect)), 0.0))
        else:
            rows.append((name, 0.0, 1.0))
    table = pd.DataFrame(rows, columns=["column", "smd", "p_value"])
    table["p_value_holm"] = holm(table["p_value"].to_numpy())
    order = np.lexsort((table["column"], -table["smd"].abs()))
    return table.iloc[order].reset_index(drop=True)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's (1979) step-down adjusted p-values."""
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def assignment_test(
    matrix: NDArray[np.float64],
    treatment: NDArray[np.int8],
    propensity: NDArray[np.float64],
    clusters: NDArray[np.intp],
    folds: NDArray[np.int8],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Cross-validated AUC of treatment given features, and its p-value over assignments drawn from the design.

    The AUC is the mean over folds of the Mann–Whitney statistic within the fold (mid-ranks, so ties count half).
    Assignments are drawn by cluster if every cluster has one arm, else by customer.
    """
    scores = np.empty(len(treatment))
    seed = int(rng.integers(2**31))
    for fold in np.unique(folds):
        held_out = folds == fold
        if len(np.unique(treatment[~held_out])) < 2:
            return 0.5, 1.0
        model = make_classifier(ASSIGNMENT_MODEL, seed=seed)
        model.fit(matrix[~held_out], treatment[~held_out])
        scores[held_out] = model.predict_proba(matrix[held_out])[:, 1]
    observed = np.mean([_auc(scores[folds == fold], treatment[None, folds == fold])[0] for fold in np.unique(folds)])
    one_arm = np.isin(np.bincount(clusters, weights=treatment) / np.bincount(clusters), (0.0, 1.0)).all()
    draw_by = clusters if one_arm else np.arange(len(treatment))
    drawn = np.zeros(ASSIGNMENT_DRAWS)
    for fold in np.unique(folds):
        inside = folds == fold
        units = np.unique(draw_by[inside], return_inverse=True)[1]
        luck = rng.random((ASSIGNMENT_DRAWS, int(units.max()) + 1), dtype=np.float32)[:, units]
        assignments = luck < propensity[inside]
        drawn += _auc(scores[inside], assignments) / len(np.unique(folds))
    p_value = (1 + int((drawn >= observed - 1e-12).sum())) / (1 + ASSIGNMENT_DRAWS)
    return float(observed), p_value


def stop_or_drop(customers: Customers, found: Soundness, checks: Mapping[str, Any]) -> Customers:
    """Act on what was found, as ``checks["on_srm"]`` and ``checks["on_post_treatment"]`` say.

    Raises InputError, or returns the customers without the columns that depend on treatment.
    """
    on_ratio = require_choice(checks["on_srm"], ("stop", "warn"), "checks.on_srm")
    on_post = require_choice(checks["on_post_treatment"], ("stop", "drop"), "checks.on_post_treatment")
    if not found.sample_ratio_is_sound and on_ratio == "stop":
        expected = float(customers.frame["propensity"].mean())
        raise InputError(
            f"sample ratio mismatch: {found.metrics['share_treated']:.4f} of {found.metrics['n']:,} customers are "
            f"treated, the design says {expected:.4f} (p = {found.metrics['srm_p_value']:.2g}); find who is missing "
            "from an arm, correct the propensity, or set checks.on_srm to warn"
        )
    if not found.post_treatment:
        return customers
    names = ", ".join(map(repr, found.post_treatment))
    if on_post == "stop":
        raise InputError(
            f"column {names} depends on treatment, so it was measured after it and is no feature; take it out of the "
            "features (data.table.exclude), or set checks.on_post_treatment to drop"
        )
    kept = customers.frame.drop(columns=found.post_treatment)
    reasons = dict.fromkeys(found.post_treatment, "depends on treatment")
    if len(customers.features) == len(found.post_treatment):
        raise InputError(f"every feature depends on treatment ({names}); at least one measured before it is needed")
    return Customers(kept, customers.simulated, customers.dropped | reasons)


def _alpha(checks: Mapping[str, Any]) -> float:
    alpha = checks.get("alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise InputError(f"checks.alpha: expected a level in (0, 1) such as 0.01, got {alpha!r}")
    return float(alpha)


def _auc(scores: NDArray[np.float64], assignments: NDArray[Any]) -> NDArray[np.float64]:
    """Mann–Whitney AUC of ``scores`` (n,) for each row of 0/1 ``assignments`` (draws, n); one-class rows give ½."""
    ranks = stats.rankdata(scores)
    positives = assignments.sum(axis=1).astype(np.float64)
    negatives = assignments.shape[1] - positives
    # One draw at a time: the matrix stays boolean, which is an eighth of its size as floats.
    rank_sums = np.array([ranks[row.astype(bool)].sum() for row in assignments])
    pairs = positives * negatives
    area = (rank_sums - positives * (positives + 1) / 2) / np.where(pairs > 0, pairs, 1)
    return np.where(pairs > 0, area, 0.5)
