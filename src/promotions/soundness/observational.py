"""A table that is not an experiment: treatment depends on features. Estimate how, keep comparable customers, weight.

Nobody can test whether something hidden also decided on treatment. Everything here is right only if each reason for
treatment that also moves the outcome is among the features (unconfoundedness).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.base.formatting import alike, number, percentage, plain
from promotions.base.splitting import assign_folds, clusters_of
from promotions.boosting.binned import Binned
from promotions.boosting.cross_fitting import means_after
from promotions.customers import Customers, validate
from promotions.inference.clusters import cluster_codes, clustered_error
from promotions.inference.student import t_quantile
from promotions.scores import make_scores
from promotions.soundness.balance import ArmMeans, Arms, mean_test
from promotions.soundness.experiment import LARGE_SMD, LOOK, SOUND, UNKNOWN, WIDTHS
from promotions.soundness.propensity import COUNTS, MODEL, Calibration, calibrate, estimate_propensity

FOLDS = 5
# Fits of ``observe``: in each fold one of the chance of treatment, and one of the outcome in each arm.
FITS = 3 * FOLDS
# The fewest customers left in an arm. With fewer, a weighted mean says nothing.
LEAST_IN_ARM = 50
# If a larger share of customers has no comparison, the answer is about other customers than the question is.
LARGE_SHARE = 0.1
# Calibration slopes this near 1, and errors this far above chance, do no harm: scores are doubly robust.
GOOD_SLOPE, GOOD_ERROR = (0.9, 1.1), 0.01
METHOD = "doubly robust, cross-fitted, with estimated propensities"


@dataclass(frozen=True)
class Observed:
    """What ``observe`` measured.

    customers: the comparable ones, with the column ``propensity``.  metrics: as in metrics/experiment.json.  chances:
    ``treatment, propensity`` of all customers in the table.  balance: see ``weighted_balance``.  table: as in
    ``Soundness.table``; a verdict is sound, look, or unknown where no data can tell.  notes: sentences for people.
    """

    customers: Customers
    metrics: dict[str, float | int | str | bool]
    chances: pd.DataFrame
    balance: pd.DataFrame
    table: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Effects:
    """The difference between the arms' outcomes by three methods, on the same customers.

    naive: as if treatment had been drawn by lot; this is not the effect.  weighted: Hájek means with weights 1/ê; the
    error takes ê for the truth.  doubly_robust: means of the scores Γ_a; errors of ê and of the outcome models
    multiply, so the standard error holds however ê was estimated (Neyman orthogonality: Chernozhukov et al. 2018;
    Athey & Wager 2021).
    """

    naive: ArmMeans
    weighted: ArmMeans
    doubly_robust: ArmMeans


def observe(
    customers: Customers,
    rng: np.random.Generator,
    max_levels: int = 20,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> Observed:
    """Estimate each customer's chance of treatment, leave out customers without comparison, and measure the others.

    * Chances ê(x): cross-fitted, folds of whole clusters by a hash of their names. They use no outcome.
    * Trimming: only customers with ê in [overlap, 1 − overlap] are kept, ``customers.overlap``; the answer is about
      them. Source: Crump, Hotz, Imbens & Mitnik (2009).
    * The effect by three methods (``Effects``), with outcome models that are cross-fitted in the same folds.
    * Balance of each encoded feature, unweighted and weighted (``weighted_balance``); calibration of ê (``calibrate``).

    customers: validated, without the column ``propensity``.  max_levels: see ``fit_encoder``.  progress: called after
    each of ``FITS`` fits.  Raises InputError if too few can be compared, or there is too little to fit to.
    """
    if customers.overlap is None:
        raise ValueError("overlap is None: these customers' propensities are the design's")
    frame, seed = customers.frame, int(rng.integers(2**31))
    names = clusters_of(frame["customer_id"], frame.get("cluster_id"))
    encoder = fit_encoder(frame, customers.features, max_levels)
    if not encoder.columns:
        raise InputError(
            f"no feature has a single value ({', '.join(map(repr, customers.features))}); at least one known before "
            "treatment is needed"
        )
    matrix, fold = encoder.transform(frame), assign_folds(names, FOLDS, "propensity")
    treatment = frame["treatment"].to_numpy()
    chance, trees = estimate_propensity(matrix, treatment, fold, seed, threads, progress)
    kept = (chance >= customers.overlap) & (chance <= 1 - customers.overlap)
    _require_comparable(
        treatment, fold, kept, customers.overlap, lambda: _most_telling(matrix, encoder.sources, treatment)
    )

    arms = Arms(treatment[kept], chance[kept], cluster_codes(names[kept]))
    outcome = frame["outcome"].to_numpy()[kept]
    effects = measure(matrix[kept], outcome, arms, fold[kept], seed, threads, progress)
    balance = weighted_balance(matrix[kept], encoder.columns, encoder.sources, arms)
    calibration = calibrate(arms.treatment, arms.propensity, arms.clusters)
    comparable = frame[kept].assign(propensity=chance[kept])
    metrics = {
        "propensity": "estimated",
        "n": int(kept.sum()),
        **_left_out(treatment, kept, customers.overlap),
        "share_treated": float(arms.treatment.mean()),
        "propensity_trees": trees,
        "propensity_auc": auc(arms.treatment, arms.propensity),
        **_calibration_metrics(calibration),
        **_effect_metrics(effects, arms.groups),
        **_balance_metrics(balance),
    }
    return Observed(
        customers=replace(customers, frame=validate(comparable)),
        metrics=metrics,
        chances=pd.DataFrame({"treatment": treatment, "propensity": chance}),
        balance=balance,
        table=_table(metrics, calibration),
        notes=_notes(metrics),
    )


def measure(
    features: NDArray[np.float64],
    outcome: NDArray[np.float64],
    arms: Arms,
    fold: NDArray[np.int8],
    seed: int,
    threads: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> Effects:
    """``Effects`` of n customers.

    Γ_a = μ_a(x) + 1{T = a}(Y − μ_a(x))/ê_a, μ_a from models that have not seen the customer's fold, with
    the number of trees in ``COUNTS`` that has the least squared error out of fold. Errors are clustered.

    features (n, p) without NaN; outcome, fold (n,); arms: with the estimated chances.
    """
    binned = Binned(features, threads=threads)
    control, treated = (
        means_after(COUNTS, binned, features, outcome, fold, MODEL, seed, threads, progress, arms.treatment == arm)
        for arm in (0, 1)
    )
    error = outcome[:, np.newaxis] - np.where(arms.treatment[:, np.newaxis] == 1, treated, control)
    best = int(np.argmin((error**2).mean(axis=0)))
    scores = make_scores(outcome, arms.treatment, arms.propensity, control[:, best], treated[:, best])
    mu0, mu1 = (float(mean) for mean in scores.dr.mean(axis=0))
    influence = (scores.effect - (mu1 - mu0)) / len(outcome)
    return Effects(
        naive=as_if_by_lot(arms).means(outcome),
        weighted=arms.means(outcome),
        doubly_robust=ArmMeans(mu0, mu1, mu1 - mu0, clustered_error(influence, arms.clusters)),
    )


def as_if_by_lot(arms: Arms) -> Arms:
    """The same customers, all with the same chance."""
    return replace(arms, propensity=np.full(len(arms.treatment), float(arms.treatment.mean())))


def weighted_balance(matrix: NDArray[np.float64], columns: list[str], sources: list[str], arms: Arms) -> pd.DataFrame:
    """Does weighting make the arms alike? One row a column of ``matrix``, the largest difference first.

    ``column, feature, smd_before, smd_after``: standardised differences of means, unweighted and with weights 1/ê,
    both in standard deviations of the unweighted arms. Source: Austin & Stuart (2015).

    matrix: (n, p).  columns, sources: names of its columns, and the features from which they were made.
    """
    unweighted = as_if_by_lot(arms)
    rows = [
        (column, feature, mean_test(values, unweighted)[0], mean_test(values, arms)[0])
        for column, feature, values in zip(columns, sources, matrix.T, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["column", "feature", "smd_before", "smd_after"])
    # Rounded: the order of equal differences must not depend on the order of summation.
    return table.iloc[np.lexsort((table["column"], -table["smd_before"].abs().round(9)))].reset_index(drop=True)


def auc(treatment: NDArray[np.int8], chance: NDArray[np.float64]) -> float:
    """Chance that a treated customer's ê exceeds that of an untreated one; ties count half (Mann & Whitney)."""
    treated = treatment == 1
    pairs = float(treated.sum()) * float((~treated).sum())
    rank_sum = float(stats.rankdata(chance)[treated].sum())
    return float((rank_sum - treated.sum() * (treated.sum() + 1) / 2) / pairs)


def _require_comparable(
    treatment: NDArray[np.int8],
    fold: NDArray[np.int8],
    kept: NDArray[np.bool_],
    overlap: float,
    most_telling: Callable[[], str],
) -> None:
    """Raise InputError unless enough of both arms are left, in more than one fold."""
    left = {arm: kept & (treatment == arm) for arm in (1, 0)}
    treated, control = int(left[1].sum()), int(left[0].sum())
    spread = all(len(np.unique(fold[members])) > 1 for members in left.values())
    if min(treated, control) < LEAST_IN_ARM or not spread:
        raise InputError(
            f"only {treated:,} treated and {control:,} control customers of {len(kept):,} have an estimated chance of "
            f"treatment within {overlap:g} to {1 - overlap:g}; {LEAST_IN_ARM} of each, in more than one fold, are "
            f"needed to compare them: {most_telling()} tells the arms apart best and may have been measured after "
            "treatment (then list it in data.table.exclude); or lower data.table.overlap, or bring more customers"
        )


def _most_telling(matrix: NDArray[np.float64], sources: list[str], treatment: NDArray[np.int8]) -> str:
    """The feature whose means differ most between the arms, and by how much."""
    arms = Arms(treatment, np.full(len(treatment), float(treatment.mean())), np.arange(len(treatment)))
    differences = np.array([abs(mean_test(values, arms)[0]) for values in matrix.T])
    place = int(np.argmax(differences))
    return f"feature {sources[place]!r} ({plain(differences[place], 2)} SD)"


def _left_out(treatment: NDArray[np.int8], kept: NDArray[np.bool_], overlap: float) -> dict[str, float | int]:
    return {
        "n_read": len(kept),
        "overlap": overlap,
        "left_out": int((~kept).sum()),
        "share_left_out": float((~kept).mean()),
        "share_left_out_treated": float((~kept)[treatment == 1].mean()),
        "share_left_out_control": float((~kept)[treatment == 0].mean()),
    }


def _calibration_metrics(calibration: Calibration) -> dict[str, float]:
    """Metrics of the calibration; without a slope its keys are absent."""
    named = {
        "propensity_calibration_error": calibration.error,
        "propensity_calibration_slope": calibration.slope,
        "propensity_calibration_slope_ci_low": calibration.ci_low,
        "propensity_calibration_slope_ci_high": calibration.ci_high,
    }
    return {name: value for name, value in named.items() if value is not None}


def _effect_metrics(effects: Effects, groups: int) -> dict[str, float | str]:
    """Means by the doubly robust scores, and the other two methods under separate names."""
    # Student's t, as there may be few clusters.
    width = t_quantile(0.975, max(groups - 1, 1))
    metrics: dict[str, float | str] = {
        "control_mean": effects.doubly_robust.control,
        "treated_mean": effects.doubly_robust.treated,
    }
    named = {"ate": effects.doubly_robust, "weighted_difference": effects.weighted, "naive_difference": effects.naive}
    for name, means in named.items():
        metrics |= {
            name: means.effect,
            f"{name}_se": means.standard_error,
            f"{name}_ci_low": means.effect - width * means.standard_error,
            f"{name}_ci_high": means.effect + width * means.standard_error,
        }
    return metrics | {"ate_method": METHOD}


def _balance_metrics(balance: pd.DataFrame) -> dict[str, float | str]:
    metrics: dict[str, float | str] = {}
    for when in ("before", "after"):
        sizes = balance[f"smd_{when}"].abs().round(9).to_numpy()
        metrics[f"max_abs_smd_{when}"] = float(sizes.max())
        metrics[f"max_abs_smd_{when}_feature"] = str(balance["column"].iloc[int(sizes.argmax())])
    return metrics


def _table(metrics: dict[str, float | int | str | bool], calibration: Calibration) -> pd.DataFrame:
    """``Observed.table``: each check in words, and its verdict."""
    facts = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}
    slope, bad_slope = "", False
    if calibration.slope is not None and calibration.ci_low is not None and calibration.ci_high is not None:
        low, high = number(calibration.ci_low, 2), number(calibration.ci_high, 2)
        slope = f", slope {number(calibration.slope, 2)} ({low} to {high})"
        bad_slope = calibration.ci_high < GOOD_SLOPE[0] or calibration.ci_low > GOOD_SLOPE[1]
    bad_error = calibration.error > calibration.error_by_chance + GOOD_ERROR
    treated, control = (percentage(facts[f"share_left_out_{arm}"], 2) for arm in ("treated", "control"))
    shown = [facts[name] for name in ("ate", "ate_ci_low", "ate_ci_high", "weighted_difference", "naive_difference")]
    ate, ate_low, ate_high, weighted, naive = alike(shown, 4)
    away = facts["ate_ci_low"] > 0 or facts["ate_ci_high"] < 0
    rows = [
        (
            "overlap",
            f"{facts['left_out']:,} of {facts['n_read']:,} left out: {treated} of the treated, {control} of control",
            f"chance of treatment within {plain(facts['overlap'])} to {plain(1 - facts['overlap'])}",
            LOOK if facts["share_left_out"] > LARGE_SHARE else SOUND,
        ),
        (
            "chances",
            f"AUC {number(facts['propensity_auc'], 3)}, tenths off by {plain(calibration.error, 2)}{slope}",
            f"slope 1, tenths off by {plain(calibration.error_by_chance, 2)} by chance",
            LOOK if bad_slope and bad_error else SOUND,
        ),
        (
            "balance",
            f"worst: {metrics['max_abs_smd_before_feature']}, {plain(facts['max_abs_smd_before'], 2)} SD; weighted: "
            f"{metrics['max_abs_smd_after_feature']}, {plain(facts['max_abs_smd_after'], 2)} SD",
            f"weighted: within ±{plain(LARGE_SMD)} SD",
            LOOK if facts["max_abs_smd_after"] > LARGE_SMD else SOUND,
        ),
        (
            "effect",
            f"{ate} ({ate_low} to {ate_high}), doubly robust",
            f"weighted {weighted}, naive {naive}",
            SOUND if away else LOOK,
        ),
        (
            "hidden reasons",
            "no data can tell",
            "each reason for treatment that moves the outcome is a feature, measured before it",
            UNKNOWN,
        ),
    ]
    return pd.DataFrame(rows, columns=list(WIDTHS))


def _notes(metrics: dict[str, float | int | str | bool]) -> tuple[str, ...]:
    """Sentences that every reader has to see."""
    overlap = float(metrics["overlap"])
    rule = f"a chance of treatment below {plain(overlap)} or above {plain(1 - overlap)} (data.table.overlap)"
    treated, control = (percentage(float(metrics[f"share_left_out_{arm}"]), 2) for arm in ("treated", "control"))
    who = (
        f"{metrics['left_out']:,} of {metrics['n_read']:,} customers, {treated} of the treated and {control} of "
        f"control, are left out of everything: they have {rule}"
    )
    return (
        "this is not an experiment: chances of treatment were estimated, and every answer stands only if all reasons "
        "for treatment that also move the outcome are among the features",
        who if metrics["left_out"] else f"nobody is left out: no customer has {rule}",
    )
