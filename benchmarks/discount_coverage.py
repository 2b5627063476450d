"""Do the intervals of the discount system hold, and does its rule earn what it reports? Fresh data sets, known truth.

Each replicate draws the four tables of the simulated shop anew (``discount.prepare.simulated``; modest sizes) and
does what the stages do. It prints, for every family of estimators, how often nominal 95 % intervals cover, and the mean
error of estimates. Each has a separate truth: effects of the log are compared with the log's (they are weighted
differently), effects of the test with the test's, and so on. Contaminated estimates (✗) are listed with the clean ones,
and compared with what they are mistaken for. Joint intervals count as one: all of them have to cover. Honest intervals,
and intervals against the best of several constants, can only be too wide. For the decision a tenth of the replicates (5
or more) learn responses from a log, decide, and judge the champion on a test; the true worth of its rule is printed.

    PYTHONPATH=src python -m benchmarks.discount_coverage [replicates]
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom
from threadpoolctl import threadpool_limits

from promotions.boosting.settings import Boosting
from promotions.discount.did.comparisons import compare_estimators
from promotions.discount.did.design import GROUP, REGION, find_design, make_panel
from promotions.discount.did.event_study import event_study
from promotions.discount.did.group_time import group_time
from promotions.discount.did.parallel_trends import sensitivity
from promotions.discount.dose import choice as dose
from promotions.discount.dose import value
from promotions.discount.effect.fwl import three_steps
from promotions.discount.effect.partially_linear import Forest, cross_fit, forest_dml, linear_dml
from promotions.discount.groups.bins import fit_bands, fit_bins
from promotions.discount.groups.effects import effects_by_bin
from promotions.discount.groups.gain_curves import SHARES, cumulative_curves
from promotions.discount.groups.rules import evaluate_bands, means_of_other_folds
from promotions.discount.prepare import simulated, tables
from promotions.discount.prepare.simulated import AGES, LEVEL_SHARES, LEVELS, MARGIN, age_shares, response
from promotions.discount.rdd import honest
from promotions.discount.rdd import jump as rdd
from promotions.discount.rdd import study as cutoff
from promotions.discount.regression import Controls, slope
from promotions.discount.response.curves import Settings, design_levels, learn_responses
from promotions.discount.scores import DoseScores

Floats = NDArray[np.float64]
# For each estimator: whether its interval covers, and estimate − truth (NaN for several intervals at once).
Judged = dict[str, tuple[bool, float]]
Truth = Mapping[str, Any]

LOG, TEST, CUTOFF, PANEL = 8_000, 5_000, 6_000, 20_000
LEAST_CHAINS, RESAMPLES, FOLDS, PROCESSES = 5, 500, 3, 2
CONTAMINATED = "✗ "
# The number of standard errors from which a mean error is not chance.
BIASED = 4

NUISANCE = Boosting(trees=100, leaves=15, learning_rate=0.05, min_leaf=50)
FOREST = Forest(trees=40)
OUTCOME = Boosting(trees=80, leaves=8, learning_rate=0.1, min_leaf=30)
AGE_CUTS = (26.0, 29.0, 32.0, 36.0)
# Bands of the discount above none, and the fixed rule: the highest band for older customers.
BAND_CUTS, OLDER = (30.0, 70.0, 100.0), 36
BAND_MEMBERS = np.arange(5)[:, None] == np.searchsorted((0.0, *BAND_CUTS), LEVELS)

CUTOFF_ESTIMATORS = {
    "global_linear": "global lines",
    "triangular_4": "triangular kernel",
    "robust": "rdrobust",
    "robust_by_value": "rdrobust, clustered by value",
    "honest": "honest",
}

STEP = {"leaves": 8, "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.8, "row_share": 0.7, "l2": 1}
RESPONSE = {
    "folds": FOLDS,
    "groups": 5,
    "most_knots": 20,
    "monotone": True,
    "outside": 0.2,
    "support": {"share": 0.01, "customers": 10},
    "sales": STEP | {"trees": 120},
    "dose": STEP | {"trees": 40},
}
LEARNERS = {
    "varying_coefficients": {"segments": 1, "penalties": [0.003, 0.03, 0.3, 3]},
    "r_learner": {"effect": STEP | {"leaves": 4, "min_leaf": 500, "row_share": 1, "trees": 100}},
    "causal_forest": {"trees": 48, "min_leaf": 40, "row_share": 0.3},
    "s_learner": {"model": STEP | {"trees": 120}},
}
POLICY = {"champion": "auto", "least_customers": 250, "default": 0, "min_gain": 0, "caution": 0.9, "budget": None}


def covers(truth: float, low: float, high: float, estimate: float) -> tuple[bool, float]:
    """Whether an interval covers, and the error of its estimate."""
    return bool(low <= truth <= high), estimate - truth


def at_once(truth: Any, low: Any, high: Any) -> tuple[bool, float]:
    """Whether all of several intervals cover."""
    return bool(((np.asarray(low) <= truth) & (truth <= np.asarray(high))).all()), np.nan


def of(result: Any, truth: float) -> tuple[bool, float]:
    """``covers`` for an object with an estimate and an interval."""
    return covers(truth, result.ci_low, result.ci_high, result.estimate)


def from_lot(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A test, with the types of the stages, and its customers' expected sales."""
    table, expected = simulated.draw_randomised(n, rng)
    return typed("randomised", table), expected


def typed(role: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table as ``discount_prepare`` writes it."""
    return tables.typed_tables({role: table}, simulated.RUNNING, {role: role})[role]


def features_of(table: pd.DataFrame) -> list[str]:
    """Columns measured before the discount."""
    return [
        name for name in table if name not in (*tables.MONEY, *tables.PREDICTIONS, *simulated.POST_TREATMENT, "row")
    ]


# ── what is true ─────────────────────────────────────────────────────────────────────────────────────────────────────


def known_truth() -> dict[str, Any]:
    """The shop's truths, and those of effects by age and of the fixed rule."""
    weighted = LEVEL_SHARES * (LEVELS - LEVEL_SHARES @ LEVELS)
    by_age = MARGIN * response(LEVELS, AGES[:, None]) @ weighted / (weighted @ LEVELS) - 1
    share, place = age_shares(), np.searchsorted(AGE_CUTS, AGES)
    bins = np.bincount(place, share * by_age) / np.bincount(place, share)
    # The oldest q: whole ages, and as much of the age at the edge as is missing.
    older = np.concatenate([[0.0], np.cumsum(share[::-1])])
    in_share = np.clip(SHARES[:, None] - older[:-1], 0, share[::-1])
    curve = in_share @ by_age[::-1] / SHARES
    # Profit of each band over no discount, by age; a band gives its levels as often as the design does.
    gain = MARGIN * response(LEVELS, AGES[:, None]) - LEVELS
    bands = np.column_stack([np.average(gain[:, b], weights=LEVEL_SHARES[b], axis=1) for b in BAND_MEMBERS])
    constants = share @ bands
    lead = float(share[AGES > OLDER] @ bands[AGES > OLDER, -1])
    rng = np.random.default_rng(0)
    untreated = MARGIN * np.mean([simulated.draw_randomised(100_000, rng)[1]["sales_0"].mean() for _ in range(10)])
    return simulated.truth() | {
        "bins": bins,
        "curve": curve,
        "lead_curve": SHARES * (curve - curve[-1]),
        "constants": untreated + constants,
        "rule": untreated + lead,
        "rule_over_none": lead,
        "rule_over_best": lead - float(constants.max()),
    }


# ── families of estimators ───────────────────────────────────────────────────────────────────────────────────────────


def of_log(seed: int, truth: Truth) -> Judged:
    """The log: profit per dollar of discount."""
    rng = np.random.default_rng([1, seed])
    log = typed("observational", simulated.draw_observational(LOG, rng))
    profit, given = log["profit"].to_numpy(), log["discount"].to_numpy()
    bins = "sales_prediction_bins"
    some = Controls.of(log, [bins, "age"], [bins]).matrix
    features = features_of(log)
    every = Controls.of(log, [*tables.PREDICTIONS, *features], [bins]).matrix
    nuisances = cross_fit({"profit": profit}, given, every, np.arange(LOG), NUISANCE, FOLDS, rng)
    matrix = Controls.of(log, features).matrix
    naive, adjusted = slope(profit, given).robust, slope(profit, given, Controls.of(log, [bins], [bins]).matrix).robust
    linear = linear_dml(profit, given, nuisances.outcome["profit"], nuisances.dose, None).slope.robust
    forest = forest_dml(profit, given, matrix, nuisances, "profit", FOREST, seed, None).robust
    return {
        "naive slope, of its own truth": of(naive, truth["slope_profit_naive"]),
        "regression with bins, of its own truth": of(adjusted, truth["slope_profit_bins"]),
        "regression with bins and age": of(slope(profit, given, some).robust, truth["slope_profit_bins_age"]),
        "Frisch–Waugh–Lovell, bins and age": of(
            three_steps(profit, given, some).slope.robust, truth["slope_profit_bins_age"]
        ),
        "LinearDML": of(linear, truth["slope_profit_log"]),
        "CausalForestDML, mean": of(forest, truth["slope_profit_log_average"]),
        CONTAMINATED + "naive slope, taken for the effect": of(naive, truth["slope_profit_log"]),
        CONTAMINATED + "regression with bins alone, the same": of(adjusted, truth["slope_profit_log"]),
    }


def of_test(seed: int, truth: Truth) -> Judged:
    """The test: profit per dollar of discount, among all and by age."""
    rng = np.random.default_rng([2, seed])
    test, _ = from_lot(TEST, rng)
    profit, given = test["profit"].to_numpy(), test["discount"].to_numpy()
    features = features_of(test)
    bins = fit_bins(test["age"], AGE_CUTS, 100)
    by_age = effects_by_bin(profit, given, bins.place(test["age"]), bins.labels, rng).frame
    curves = cumulative_curves(profit, given, test["age"].to_numpy(), rng).frame
    # At the end the share includes everybody, and the lead is 0.
    lead = curves[:-1]
    above = slope(profit, (given > 30).astype(np.float64)).robust
    pointwise = {
        f"effect by age, {row.bin}": covers(mean, row.ci_low, row.ci_high, row.effect)
        for row, mean in zip(by_age.itertuples(), truth["bins"], strict=True)
    }
    controls = Controls.of(test, features).matrix
    worse = Controls.of(test, [*features, *simulated.POST_TREATMENT]).matrix
    randomised = truth["slope_profit_randomised"]
    return {
        "slope": of(slope(profit, given).robust, randomised),
        "slope, with features": of(slope(profit, given, controls).robust, randomised),
        CONTAMINATED + "slope, with columns measured afterwards": of(slope(profit, given, worse).robust, randomised),
        "effect of more than 30": of(above, truth["effect_above_30"]),
        **pointwise,
        "effects by age, jointly": at_once(truth["bins"], by_age["joint_ci_low"], by_age["joint_ci_high"]),
        CONTAMINATED + "effects by age, pointwise ones at once": at_once(
            truth["bins"], by_age["ci_low"], by_age["ci_high"]
        ),
        "effect of the oldest q, jointly": at_once(
            truth["curve"], curves["effect_joint_ci_low"], curves["effect_joint_ci_high"]
        ),
        "lead of the oldest q, jointly": at_once(
            truth["lead_curve"][:-1], lead["lead_joint_ci_low"], lead["lead_joint_ci_high"]
        ),
    }


def of_cutoff(seed: int, truth: Truth) -> Judged:
    """The cut-off: the jump of profit, and profit per dollar."""
    table = typed("cutoff", simulated.draw_cutoff(CUTOFF, np.random.default_rng([3, seed])))
    design = rdd.Design.of(table[simulated.RUNNING].to_numpy(), rdd.Cutoff(simulated.CUTOFF))
    outcomes = {name: table[name].to_numpy() for name in cutoff.OUTCOMES}
    robust = {name: rdd.robust_jump(values, design) for name, values in outcomes.items()}
    bounds = {name: honest.curvature_bound(values, design) for name, values in outcomes.items()}
    jumps = cutoff.jump_metrics(outcomes, design, robust, bounds, [4.0])
    judged = {}
    for name, what, effect in (
        ("profit", "jump", truth["jump_profit"]),
        ("profit_per_dollar", "per dollar", truth["effect_per_dollar_at_cutoff"]),
    ):
        for key, words in CUTOFF_ESTIMATORS.items():
            numbers = jumps[name]
            # No ratio is clustered, and none is honest where the discount may not jump.
            if key not in numbers:
                continue
            mark = CONTAMINATED if key == "robust_by_value" else ""
            judged[f"{mark}{what}, {words}"] = covers(
                effect, numbers[f"{key}_ci_low"], numbers[f"{key}_ci_high"], numbers[key]
            )
            if f"{key}_anderson_rubin_low" in numbers:
                low, high = (numbers[f"{key}_anderson_rubin_{end}"] for end in ("low", "high"))
                judged[f"{what}, {words}, Anderson–Rubin"] = covers(effect, low, high, numbers[key])
    return judged


def of_panel(seed: int, truth: Truth) -> Judged:
    """The panel: 25 for women, and 25 for others in a region."""
    rng = np.random.default_rng([4, seed])
    table = typed("panel", simulated.draw_panel(PANEL, rng))
    group = {"column": "gender", "level": simulated.TREATED_GENDER, "month": simulated.TREATED_FROM}
    region = {"column": "cust_state", "level": simulated.REGION, "month": simulated.REGION_FROM}
    panel = make_panel(table, find_design(table, group, region))
    # A discount of 25 has the same effect in both: it is the first of either, and the effect depends only on age.
    effects = {"profit": truth["did_effect"], "sales": truth["did_effect_sales"]}
    profit = effects["profit"]
    judged = {}
    for row in compare_estimators(panel, outcomes=tuple(effects)).itertuples():
        mark = CONTAMINATED if row.contaminated else ""
        judged[f"{mark}{row.treated}, {row.outcome}, {row.estimator}"] = of(row, effects[row.outcome])
    for name in (GROUP, REGION):
        study = event_study(panel, name, "profit", rng)
        months = study.frame[~study.frame["reference"]]
        true = np.where(months["event_time"] < 0, 0.0, profit)
        first = next(months[months["event_time"] == 0].itertuples())
        judged[f"{name}, event study, first month"] = of(first, profit)
        judged[f"{name}, event study, jointly"] = at_once(true, months["joint_ci_low"], months["joint_ci_high"])
        judged[f"{CONTAMINATED}{name}, event study, pointwise ones at once"] = at_once(
            true, months["ci_low"], months["ci_high"]
        )
        if name == GROUP:
            for row in sensitivity(study, [0.0]).frame.itertuples():
                judged[f"{name}, straight trends, {row.target}"] = of(row, profit)
    for row in group_time(panel, "profit").cohorts.itertuples():
        judged[f"{row.treated}, Callaway & Sant'Anna"] = of(row, profit)
    return judged


def of_rule(seed: int, truth: Truth) -> Judged:
    """The test: the value of a fixed rule (a high discount for older customers, none for others)."""
    rng = np.random.default_rng([5, seed])
    test, _ = from_lot(TEST, rng)
    log = typed("observational", simulated.draw_observational(LOG, rng))
    level = np.searchsorted(LEVELS, test["discount"].to_numpy())
    share = np.bincount(level, minlength=len(LEVELS)) / TEST
    menu = dose.Menu(LEVELS, share, BAND_MEMBERS, np.ones(5, dtype=bool))
    older = test["age"].to_numpy() > OLDER
    doses = pd.DataFrame({f"constant_{label:g}": np.full(TEST, label) for label in menu.labels})
    doses["best.fixed"] = np.where(older, menu.labels[-1], 0.0)
    sales = value.outcome_at_levels(log, test, features_of(test), LEVELS, OUTCOME, FOLDS, rng)
    scores = DoseScores(share, level, test["profit"].to_numpy(), MARGIN * sales - LEVELS)
    everything = np.ones((TEST, len(LEVELS)), dtype=bool)
    values = value.evaluate_doses(doses, menu, everything, scores, rng, RESAMPLES)
    rule, true = values["best.fixed"], [*truth["constants"], truth["rule"]]
    at_every = [result.simultaneous for result in values.values()]
    bands = fit_bands(test["discount"].to_numpy(), BAND_CUTS, 100)
    band, fold = bands.place(test["discount"]), rng.permutation(np.arange(TEST) % FOLDS)
    means = means_of_other_folds(scores.profit, band, older.astype(np.intp), fold, 5)
    by_group = evaluate_bands(
        scores.profit, test["discount"].to_numpy(), band, bands, {"fixed": 4 * older.astype(np.intp)}, means, rng
    )["fixed"]

    def judge(result: Any, quantity: str) -> tuple[bool, float]:
        return covers(truth[quantity], result.ci_low, result.ci_high, result.value)

    return {
        "profit, doubly robust": judge(rule.dr, "rule"),
        "profit, inverse propensities": judge(rule.ips, "rule"),
        "over no discount": judge(rule.versus_none, "rule_over_none"),
        "over the best constant": judge(rule.versus_best_constant, "rule_over_best"),
        "profit of all rules, jointly": at_once(
            true, [result.ci_low for result in at_every], [result.ci_high for result in at_every]
        ),
        "rule by groups: profit, doubly robust": judge(by_group.dr, "rule"),
        "rule by groups: profit, inverse propensities": judge(by_group.ips, "rule"),
        "rule by groups: over no discount": judge(by_group.versus_none, "rule_over_none"),
        "rule by groups: over the best constant": judge(by_group.versus_best_constant, "rule_over_best"),
    }


# ── the decision ─────────────────────────────────────────────────────────────────────────────────────────────────────


def decision(seed: int) -> dict[str, float]:
    """Learn from a log, decide, judge on a test: the true worth of the champion's rule, and the reported one."""
    rng = np.random.default_rng([6, seed])
    log = typed("observational", simulated.draw_observational(LOG, rng))
    test, expected = from_lot(TEST, rng)
    features, given = features_of(test), test["discount"].to_numpy()
    levels = design_levels(given)
    settings = Settings.from_params(RESPONSE)
    responses = learn_responses(
        log, test.drop(columns=["sales", "profit"]), levels, features, list(tables.PREDICTIONS), LEARNERS, settings, rng
    )
    level = np.searchsorted(levels, given)
    policy = dose.Settings.from_params(POLICY)
    curve = dose.expected_curve(responses.curves, responses.best, MARGIN)
    menu = dose.make_menu(levels, np.bincount(level), curve, policy.least_customers)
    doses = dose.decide(responses.curves, menu, MARGIN, policy, test["row"].to_numpy())
    champion = dose.champion_of(doses.columns, policy, responses.best)
    sales = value.outcome_at_levels(log, test, features, levels, OUTCOME, FOLDS, rng)
    scores = DoseScores(menu.share, level, test["profit"].to_numpy(), MARGIN * sales - levels)
    judged = value.evaluate_doses(doses, menu, responses.curves.supported, scores, rng, RESAMPLES)[champion]
    truth = value.Truth.from_frame(expected, test["row"].to_numpy(), levels, MARGIN)
    true = value.true_profits(doses, menu, responses.curves.supported, truth)
    best = max(true[name] for name in judged.versus_constants)
    lead = judged.versus_best_constant
    # The dose at which the log's customers earned most, given to everybody.
    nearest = np.abs(log["discount"].to_numpy()[:, None] - menu.labels[menu.seen]).argmin(axis=1)
    earned = log["profit"].groupby(nearest).mean()
    naive = f"constant_{menu.labels[menu.seen][int(earned.idxmax())]:g}"
    return {
        "profit": true[champion],
        "oracle": truth.oracle(menu),
        "lead": true[champion] - best,
        "reported_lead": lead.value,
        "covers": float(lead.ci_low <= true[champion] - best <= lead.ci_high),
        "claims": float(lead.ci_low > 0),
        "profit_covers": float(judged.dr.ci_low <= true[champion] <= judged.dr.ci_high),
        "s_learner": true["best.s_learner"] - best,
        "naive": true[naive] - best,
    }


# ── running and printing ─────────────────────────────────────────────────────────────────────────────────────────────

FAMILIES: tuple[Callable[[int, Truth], Judged], ...] = (of_log, of_test, of_cutoff, of_panel, of_rule)


@contextmanager
def workers() -> Iterator[Callable[..., list[Any]]]:
    """Two processes, not threads: rdrobust's wrapper redirects standard output, and a process has only one."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), threadpool_limits, (1,)) as pool:
        yield lambda task, times: list(pool.map(task, range(times)))


def spread(hits: float, times: int) -> str:
    """The share, and its standard error (Agresti & Coull 1998: two more of either, so that 0 is not certain)."""
    near = (hits + 2) / (times + 4)
    return f"{hits / times:7.1%} ± {np.sqrt(near * (1 - near) / (times + 4)):5.1%}"


def print_family(title: str, replicates: list[Judged]) -> None:
    """Print a line an estimator: coverage with its standard error, and the mean error."""
    times = len(replicates)
    least, most = binom.ppf([0.001, 0.999], times, 0.05)
    print(title)
    for name in dict.fromkeys(name for each in replicates for name in each):
        judged = [each[name] for each in replicates if name in each]
        hits, errors = sum(hit for hit, _ in judged), np.array([error for _, error in judged])
        biased = False
        line = f"  {name:52s}{spread(hits, len(judged))}"
        if len(judged) > 1 and not np.isnan(errors).any():
            in_errors = errors.mean() * np.sqrt(len(errors)) / errors.std(ddof=1)
            line += f"   off by {errors.mean():+9.4f} ({in_errors:+6.1f} SE)"
            biased = abs(in_errors) > BIASED
        if len(judged) < times:
            line += f"   in {len(judged)} of {times}"
        if not name.startswith(CONTAMINATED):
            missed = len(judged) - hits
            line += "   too narrow" if missed > most else "   wide" if missed < least else ""
            line += "   biased" if biased else ""
        print(line, flush=True)


def print_decisions(decisions: pd.DataFrame) -> None:
    """Print the true worth of the champion's rule, money per customer, and the coverage of its interval."""
    print(f"the decision, {len(decisions)} times: money per customer, mean (least to most)")
    decisions["regret"] = decisions["oracle"] - decisions["profit"]
    decisions["off"] = decisions["reported_lead"] - decisions["lead"]
    for name, words in (
        ("profit", "true profit of the champion's rule"),
        ("regret", "regret to the oracle"),
        ("lead", "true lead over the best constant"),
        ("reported_lead", "reported lead over the best constant"),
        ("s_learner", CONTAMINATED + "true lead of the S-learner's rule"),
        ("naive", CONTAMINATED + "true lead of the dose that looks best in the log"),
    ):
        column = decisions[name]
        print(f"  {words:52s}{column.mean():+9.3f}  ({column.min():+.3f} to {column.max():+.3f})")
    off = decisions["off"].mean()
    print(f"  {'reported − true lead':52s}{off:+9.3f}  ({off / decisions['off'].sem():+.1f} SE)")
    for name, words in (
        ("covers", "95 % interval of the lead covers"),
        ("profit_covers", "95 % interval of the profit covers"),
        ("claims", "interval of the lead is above 0"),
    ):
        print(f"  {words:52s}{spread(decisions[name].sum(), len(decisions))}")


def main(replicates: int) -> None:
    """Run and print."""
    truth = known_truth()
    chance = np.sqrt(0.95 * 0.05 / replicates)
    print(f"{replicates} replicates; where an interval covers in 95 %, the share found varies by ± {chance:.1%}")
    with workers() as run:
        for family in FAMILIES:
            print_family(str(family.__doc__).rstrip("."), run(partial(family, truth=truth), replicates))
        print_decisions(pd.DataFrame(run(decision, max(LEAST_CHAINS, replicates // 10))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
