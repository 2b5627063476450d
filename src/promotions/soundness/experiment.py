"""Is this experiment sound? Its effect, share of treated customers, balance, and columns that must not be features."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.base.formatting import alike, number, p_text, plain
from promotions.base.splitting import assign_folds, clusters_of
from promotions.base.validation import require_choice, require_keys
from promotions.customers import Customers
from promotions.inference.clusters import cluster_codes, sum_by_cluster
from promotions.inference.student import t_quantile
from promotions.soundness.assignment import assignment_test
from promotions.soundness.balance import DISTRIBUTION, MEAN, NEGLIGIBLE, ArmMeans, Arms, balance_table

ASSIGNMENT_FOLDS = 3
CHECKS = ("alpha", "on_srm", "on_post_treatment")
POWER = 0.8
LARGE_SMD = 0.1
# UNKNOWN is the verdict where no data can tell (``promotions.soundness.observational``).
SOUND, LOOK, BROKEN, UNKNOWN = "sound", "look", "broken", "unknown"
# Widths of the columns of a table in the terminal: 120 characters with the gaps between them.
WIDTHS = {"check": 19, "found": 50, "expected": 38, "verdict": 7}
NAMES_IN_A_MESSAGE = 5


@dataclass(frozen=True)
class Soundness:
    """What ``examine`` measured.

    metrics: as in metrics/experiment.json.  balance: one row a test, see ``balance_table``.  post_treatment: features
    that depend on treatment.  table: ``check, found, expected, verdict``, one row a check, for people. A verdict is
    sound, look (think before going on) or broken (``stop_or_drop`` stops, unless the parameters say otherwise).
    """

    metrics: dict[str, float | int | str | bool]
    balance: pd.DataFrame
    post_treatment: list[str]
    sample_ratio_is_sound: bool
    table: pd.DataFrame


def examine(customers: Customers, checks: Mapping[str, Any], rng: np.random.Generator) -> Soundness:
    """Measure the experiment.

    * Sample ratio mismatch: does the number treated fit the design's propensities? Exact binomial test if the
      propensity is constant, else the normal limit of the Poisson-binomial.
    * Balance: is the mean of each column of the encoded features, and the whole distribution of each feature, the same
      in both arms? Under randomisation a feature measured before treatment cannot depend on treatment, so one that does
      (a Holm-corrected p below ``checks["alpha"]``) was measured after it.
    * Assignment: can a classifier tell the arms apart? Cross-validated AUC, within folds; the one-sided p-value
      compares it with assignments drawn anew from the design (Lopez-Paz & Oquab 2017, with a randomisation test).
    * Size: the minimum detectable effect (``detectable_effect``) beside the measured effect.
    """
    require_keys(checks, CHECKS, "checks")
    alpha = _alpha(checks)
    frame = customers.frame
    cluster_names = clusters_of(frame["customer_id"], frame.get("cluster_id"))
    arms = Arms(frame["treatment"].to_numpy(), frame["propensity"].to_numpy(), cluster_codes(cluster_names))
    encoder = fit_encoder(frame, customers.features)
    if not encoder.columns:
        names = ", ".join(map(repr, customers.features))
        raise InputError(f"no feature has a single value ({names}); at least one known before treatment is needed")
    matrix = encoder.transform(frame)

    outcome = arms.means(frame["outcome"].to_numpy())
    ratio_p = sample_ratio_p_value(arms.treatment, arms.propensity, arms.clusters)
    balance = balance_table(frame, encoder, matrix, arms, alpha)
    flagged = set(balance.loc[balance["differs"], "feature"])
    post_treatment = [name for name in customers.features if name in flagged]
    auc, auc_p = assignment_test(matrix, arms, assign_folds(cluster_names, ASSIGNMENT_FOLDS, "assignment"), rng)
    # Student's t, as there may be few clusters.
    freedom = max(arms.groups - 1, 1)
    margin = t_quantile(0.975, freedom) * outcome.standard_error
    mde = detectable_effect(outcome.standard_error, freedom)
    worst = balance.iloc[0]
    metrics: dict[str, float | int | str | bool] = {
        "n": len(frame),
        "share_treated": float(arms.treatment.mean()),
        "control_mean": outcome.control,
        "treated_mean": outcome.treated,
        "ate": outcome.effect,
        "ate_se": outcome.standard_error,
        "ate_ci_low": outcome.effect - margin,
        "ate_ci_high": outcome.effect + margin,
        "mde": mde,
        **({"mde_relative": mde / abs(outcome.control)} if outcome.control else {}),
        "srm_p_value": ratio_p,
        "max_abs_smd": abs(float(worst["smd"])),
        "max_abs_smd_feature": str(worst["column"]),
        "assignment_auc": auc,
        "assignment_auc_p_value": auc_p,
        "features_dropped": len(customers.dropped),
    }
    return Soundness(
        metrics=metrics,
        balance=balance,
        post_treatment=post_treatment,
        sample_ratio_is_sound=ratio_p >= alpha,
        table=soundness_table(metrics, outcome, balance, post_treatment, arms.propensity, alpha),
    )


def detectable_effect(standard_error: float, freedom: int) -> float:
    """Minimum detectable effect: the effect that a two-sided test at 5 % finds with a probability of 80 %.

    mde = (t_.975 + t_.80) · se, quantiles of Student's t with ``freedom`` degrees. Source: Bloom (1995).
    """
    return (t_quantile(0.975, freedom) + t_quantile(POWER, freedom)) * standard_error


def sample_ratio_p_value(
    treatment: NDArray[np.int8], propensity: NDArray[np.float64], clusters: NDArray[np.intp]
) -> float:
    """Two-sided p-value of the number treated under the design.

    Single customers: exact binomial, or normal with variance Σ e(1 − e) where propensities differ. Customers of a
    cluster may have been drawn together: normal, with the variance Σ_g (Σ_{i in g} T_i − e_i)².
    """
    excess = sum_by_cluster(treatment - propensity, clusters)
    if len(excess) == len(treatment) and np.ptp(propensity) == 0:
        return float(stats.binomtest(int(treatment.sum()), len(treatment), float(propensity[0])).pvalue)
    variance = (propensity * (1 - propensity)).sum() if len(excess) == len(treatment) else (excess**2).sum()
    # Each cluster is exactly as designed, as in matched pairs.
    if variance <= NEGLIGIBLE * len(treatment):
        return 1.0
    return float(2 * ndtr(-abs(excess.sum()) / np.sqrt(variance)))


def soundness_table(
    metrics: Mapping[str, Any],
    outcome: ArmMeans,
    balance: pd.DataFrame,
    post_treatment: list[str],
    propensity: NDArray[np.float64],
    alpha: float,
) -> pd.DataFrame:
    """``Soundness.table``: each check in words, and its verdict."""
    means, shapes = balance[balance["test"] == MEAN], balance[balance["test"] == DISTRIBUTION]
    design = f"{plain(100 * propensity.mean(), 4)} % by design" + (" on average" if np.ptp(propensity) > 0 else "")
    relative = f" ({plain(100 * metrics['mde_relative'])} % of control)" if "mde_relative" in metrics else ""
    effect, low, high = alike((outcome.effect, metrics["ate_ci_low"], metrics["ate_ci_high"]), 4)
    differing = means[means["differs"]]
    worst = means.iloc[0] if differing.empty else differing.iloc[0]
    least = shapes.iloc[0]
    tested = shapes["p_value"].notna().any()
    level = f"p ≥ {alpha:g}"
    rows = [
        (
            "sample ratio",
            f"{number(100 * metrics['share_treated'], 2)} % of {metrics['n']:,} treated, "
            f"{p_text(metrics['srm_p_value'])}",
            f"{design}, {level}",
            SOUND if metrics["srm_p_value"] >= alpha else BROKEN,
        ),
        (
            "effect",
            f"{effect} ({low} to {high})",
            f"detectable: {plain(metrics['mde'])}{relative}",
            SOUND if abs(outcome.effect) >= metrics["mde"] else LOOK,
        ),
        (
            "means",
            f"worst: {worst['column']}, {plain(worst['smd'], 2)} SD, corrected {p_text(worst['p_value_holm'])}",
            f"within ±{plain(LARGE_SMD)} SD, every {level}",
            _balance_verdict(means, look=means["smd"].abs().max() > LARGE_SMD),
        ),
        (
            "distributions",
            f"worst: {least['column']}, corrected {p_text(least['p_value_holm'])}"
            if tested
            else "not tested: too few customers or clusters",
            f"every {level}",
            _balance_verdict(shapes, look=not tested),
        ),
        (
            "assignment AUC",
            f"{number(metrics['assignment_auc'], 3)}, {p_text(metrics['assignment_auc_p_value'])}",
            f"as if drawn anew by design, {level}",
            SOUND if metrics["assignment_auc_p_value"] >= alpha else LOOK,
        ),
        (
            "depend on treatment",
            ", ".join(post_treatment) or "none",
            "none",
            BROKEN if post_treatment else SOUND,
        ),
    ]
    return pd.DataFrame(rows, columns=list(WIDTHS))


def soundness_lines(table: pd.DataFrame) -> str:
    """``Soundness.table`` as aligned text of at most 120 columns; long cells continue on the next line."""
    lines = []
    for row in [tuple(table.columns), *table.itertuples(index=False)]:
        cells = [textwrap.wrap(str(cell), width) for cell, width in zip(row, WIDTHS.values(), strict=True)]
        for place in range(max(map(len, cells))):
            parts = [cell[place] if place < len(cell) else "" for cell in cells]
            lines.append([part.ljust(width) for part, width in zip(parts, WIDTHS.values(), strict=True)])
    return "\n".join("  ".join(line).rstrip() for line in lines)


def stop_or_drop(customers: Customers, soundness: Soundness, checks: Mapping[str, Any]) -> Customers:
    """Act on the measurements by ``checks["on_srm"]`` and ``checks["on_post_treatment"]``.

    Raises InputError, or returns the customers without the columns that depend on treatment.
    """
    on_ratio = require_choice(checks["on_srm"], ("stop", "warn"), "checks.on_srm")
    on_post = require_choice(checks["on_post_treatment"], ("stop", "drop"), "checks.on_post_treatment")
    if not soundness.sample_ratio_is_sound and on_ratio == "stop":
        measured = (float(soundness.metrics["share_treated"]), float(customers.frame["propensity"].mean()))
        share, expected = (number(value, 4) for value in measured)
        raise InputError(
            f"sample ratio mismatch: {share} of {soundness.metrics['n']:,} customers are treated, the design says "
            f"{expected} ({p_text(float(soundness.metrics['srm_p_value']))}); find who is missing from "
            "an arm, correct the propensity, or set checks.on_srm to warn"
        )
    if not soundness.post_treatment:
        return customers
    if on_post == "stop":
        raise InputError(_dependence_message(soundness))
    if len(customers.features) == len(soundness.post_treatment):
        names = ", ".join(map(repr, soundness.post_treatment))
        raise InputError(f"every feature depends on treatment ({names}); at least one measured before it is needed")
    return replace(
        customers,
        frame=customers.frame.drop(columns=soundness.post_treatment),
        to_score=customers.to_score.drop(columns=soundness.post_treatment, errors="ignore"),
        dropped=customers.dropped | dict.fromkeys(soundness.post_treatment, "depends on treatment"),
    )


def _alpha(checks: Mapping[str, Any]) -> float:
    alpha = checks.get("alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise InputError(f"checks.alpha: expected a level in (0, 1) such as 0.01, got {alpha!r}")
    return float(alpha)


def _balance_verdict(rows: pd.DataFrame, *, look: bool) -> str:
    return BROKEN if rows["differs"].any() else LOOK if look else SOUND


def _dependence_message(soundness: Soundness) -> str:
    """One line: which features depend on treatment, how strongly, and what to do."""
    strengths = [f"({_strength(soundness.balance, name)})" for name in soundness.post_treatment]
    remedy = "of the features (for a table: data.table.exclude), or set checks.on_post_treatment to drop"
    if len(strengths) == 1:
        return (
            f"column {soundness.post_treatment[0]!r} depends on treatment {strengths[0]}, so it was measured after it "
            f"and is no feature; take it out {remedy}"
        )
    named = [f"{name!r} {strength}" for name, strength in zip(soundness.post_treatment, strengths, strict=True)]
    if len(named) > NAMES_IN_A_MESSAGE:
        named = [*named[:NAMES_IN_A_MESSAGE], f"{len(named) - NAMES_IN_A_MESSAGE} more"]
    return (
        f"columns {', '.join(named[:-1])} and {named[-1]} depend on treatment, so they were measured after it and are "
        f"no features; take them out {remedy}"
    )


def _strength(balance: pd.DataFrame, feature: str) -> str:
    """How a feature depends on treatment: by a mean if one differs, else by the distribution."""
    # Means come first, the largest difference at the top.
    row = balance[(balance["feature"] == feature) & balance["differs"]].iloc[0]
    if row["test"] == DISTRIBUTION:
        return f"its distribution differs, corrected {p_text(row['p_value_holm'])}"
    where = "" if row["column"] == feature else f" of {row['column']}"
    return f"difference{where} {plain(abs(row['smd']), 2)} SD, corrected {p_text(row['p_value_holm'])}"
