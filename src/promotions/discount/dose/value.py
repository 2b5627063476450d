"""What rules for the dose earn, on customers whose discount was drawn by lot.

A dose of the menu stands for one level of the design or for several that are judged together, and is then given as the
design gave them: each of its levels with the share that it had. Its value needs no assumption but the lot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.encoding import fit_encoder
from promotions.base.errors import InputError
from promotions.base.validation import require_keys, require_whole
from promotions.boosting.cross_fitting import out_of_fold
from promotions.boosting.settings import Boosting, lightgbm
from promotions.discount.dose.choice import BEST, BUDGET, CONSTANT, PESSIMISTIC, Menu
from promotions.discount.response.curves import MAX_LEVELS
from promotions.discount.response.learners import BINNING, Floats
from promotions.discount.scores import DoseScores
from promotions.discount.tables import in_order_of_content
from promotions.inference.clusters import Z_95, clustered_error, one_sided_p_value
from promotions.inference.estimates import Estimate
from promotions.inference.simultaneous import Bands, simultaneous_bands

SECTION = "discount.evaluate"


@dataclass(frozen=True)
class Settings:
    """How rules are judged; see params.yaml. outcome: the model behind the doubly robust scores."""

    outcome: Boosting
    folds: int
    replicates: int

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Settings":
        """Read ``discount.evaluate``. Raises InputError."""
        require_keys(params, ("outcome", "folds", "replicates"), SECTION)
        return cls(
            outcome=Boosting.from_params(params["outcome"], f"{SECTION}.outcome"),
            folds=require_whole(params["folds"], f"{SECTION}.folds", 2),
            replicates=require_whole(params["replicates"], f"{SECTION}.replicates", 100),
        )


@dataclass(frozen=True)
class DoseValue:
    """Profit per customer of one rule, in money.

    mean_dose: discount given per customer.  share_given: of customers with any discount.  effective_customers:
    (Σ w)²/Σ w² of the weights, how many customers the rule is judged by (Kish 1965).  dr and ips with 95 % intervals,
    snips the self-normalised mean Σ wY/Σ w.  simultaneous: dr with bounds that hold for all rules at once.
    versus_none: over no discount; None if the design has no such level.  p_none: one-sided, alone and adjusted for the
    number of rules.  versus_constants: over each constant dose that the rules could choose, by its name.
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

    @property
    def best_constant(self) -> str:
        """The constant dose with the highest estimate on these customers, that is with the smallest lead over it."""
        return min(self.versus_constants, key=lambda name: (self.versus_constants[name].value, name))

    @property
    def versus_best_constant(self) -> Estimate:
        """Profit over the best constant dose, whichever that is.

        The least of the differences to all constants, with the least of their bounds at either end. If the lead over
        the truly best constant c* is θ = min_c θ_c, then min_c L_c exceeds it only if L_c* does: 2.5 %
        (intersection–union, Berger 1982). No constant has to be named first, and none is favoured by being named on the
        customers that judge it.
        """
        leads = self.versus_constants.values()
        return Estimate(
            min(lead.value for lead in leads), min(lead.ci_low for lead in leads), min(lead.ci_high for lead in leads)
        )

    @property
    def p_best_constant(self) -> float:
        """One-sided p-value of a lead over every constant: the largest of theirs (intersection–union)."""
        return max(self.p_constants.values())


def evaluate_doses(
    doses: pd.DataFrame,
    menu: Menu,
    supported: NDArray[np.bool_],
    scores: DoseScores,
    rng: np.random.Generator,
    replicates: int,
) -> dict[str, DoseValue]:
    """Value of every rule, all on the same customers, so that differences are paired.

    Intervals are normal with the influence functions' errors, and conditional on the rules: they cover the luck of the
    randomised customers, not of the log that the rules were learned from. Differences are to no discount (level 0) and
    to every constant dose that the log supports (those that a rule can choose).

    doses: (n, policies), levels in money, with ``constant_<dose>`` among the columns.  supported: (n, L).
    """
    # An order of their own: the bands draw signs by position.
    order = np.lexsort([*scores.model.T[::-1], scores.level, scores.profit])
    scores, supported = scores.rows(order), supported[order]
    names = [str(name) for name in doses.columns]
    given = {name: levels_given(name, doses[name].to_numpy(np.float64)[order], menu, supported) for name in names}
    dr, dr_influence = _all_values(scores, given)
    ips, ips_influence = _all_values(scores.without_model(), given)
    constants = [f"{CONSTANT}_{dose:g}" for dose in menu.labels[menu.seen]]
    none = names.index(f"{CONSTANT}_0") if f"{CONSTANT}_0" in names else None
    at_once = _bands(dr, dr_influence, rng, replicates)
    over_none = None
    if none is not None:
        over_none = _bands(dr - dr[none], dr_influence - dr_influence[:, [none]], rng, replicates)
    each = np.arange(len(order))

    def estimate(value: float, influence: Floats) -> tuple[Estimate, float]:
        error = clustered_error(influence, each)
        return Estimate(value, value - Z_95 * error, value + Z_95 * error), one_sided_p_value(value, error)

    def lead(index: int, other: int) -> tuple[Estimate, float]:
        return estimate(float(dr[index] - dr[other]), dr_influence[:, index] - dr_influence[:, other])

    found = {}
    for index, name in enumerate(names):
        leads = {constant: lead(index, names.index(constant)) for constant in constants}
        versus_none, p_none = lead(index, none) if none is not None else (None, 1.0)
        weight, cost = scores.weights(given[name]), mean_cost(given[name], menu)
        total = float(weight.sum())
        found[name] = DoseValue(
            mean_dose=float(cost.mean()),
            share_given=float((cost > 0).mean()),
            effective_customers=total**2 / float((weight**2).sum()) if total else 0.0,
            ips=estimate(float(ips[index]), ips_influence[:, index])[0],
            # Nobody happened to get what the rule says: nothing was seen.
            snips=float(weight @ scores.profit) / total if total else 0.0,
            dr=estimate(float(dr[index]), dr_influence[:, index])[0],
            simultaneous=Estimate(float(dr[index]), float(at_once.low[index]), float(at_once.high[index])),
            versus_none=versus_none,
            p_none=p_none,
            p_none_adjusted=max(p_none, float(over_none.p_value[index])) if over_none is not None else 1.0,
            versus_constants={constant: found_lead for constant, (found_lead, _) in leads.items()},
            p_constants={constant: p_value for constant, (_, p_value) in leads.items()},
        )
    return found


def levels_given(policy: str, doses: Floats, menu: Menu, supported: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The levels that a policy gives to each customer, (n, L): a constant gives all of its dose's to everybody."""
    return menu.given(menu.index_of(doses), None if rule_of(policy) == CONSTANT else supported)


def mean_cost(given: NDArray[np.bool_], menu: Menu) -> Floats:
    """Mean discount of what each customer is given, (n,)."""
    return np.asarray(given @ (menu.share * menu.levels) / (given @ menu.share))


def outcome_at_levels(
    log: pd.DataFrame,
    randomised: pd.DataFrame,
    features: Sequence[str],
    levels: Floats,
    boosting: Boosting,
    folds: int,
    rng: np.random.Generator,
    threads: int = 1,
) -> Floats:
    """Expected sales of each randomised customer at every level, (n, L), from models that have not seen it.

    Boosted trees of sales on dose and features, fitted to the log and to the other folds of the randomised customers,
    with a column that tells the two apart. They serve the doubly robust scores alone, which are right whatever they
    say, and are the sharper the better they are.
    """
    frame = pd.concat([log, randomised], ignore_index=True)[["sales", "discount", *features]]
    encoder = fit_encoder(frame, list(features), MAX_LEVELS)
    # In orders of their own, so that no model depends on a file's.
    log = in_order_of_content(log[["sales", "discount", *features]])
    drawn = in_order_of_content(randomised[["sales", "discount", *features]].assign(row=np.arange(len(randomised))))
    known, asked = encoder.transform(log), encoder.transform(drawn)
    seeds = rng.integers(2**31, size=2)
    fold = np.random.default_rng(seeds[0]).permutation(len(drawn)) % folds

    def table(dose: Floats, own: Floats, of_test: bool) -> Floats:
        return np.column_stack([dose, np.full(len(own), float(of_test)), own])

    log_rows = table(log["discount"].to_numpy(np.float64), known, False)
    test_rows = table(drawn["discount"].to_numpy(np.float64), asked, True)

    def without(held: NDArray[np.bool_]) -> Floats:
        lgb = lightgbm()
        rows = np.vstack([log_rows, test_rows[~held]])
        sales = np.concatenate([log["sales"].to_numpy(np.float64), drawn["sales"].to_numpy(np.float64)[~held]])
        data = lgb.Dataset(rows, sales, params=BINNING)
        arguments = boosting.arguments(int(seeds[1])) | {"objective": "regression"}
        booster = lgb.train(arguments, data, num_boost_round=boosting.trees)
        columns = [
            booster.predict(table(np.full(int(held.sum()), level), asked[held], True), num_threads=1)
            for level in levels
        ]
        return np.column_stack(columns)

    expected = np.empty((len(drawn), len(levels)))
    expected[drawn["row"].to_numpy()] = out_of_fold(fold, without, threads)
    return expected


@dataclass(frozen=True)
class Truth:
    """Expected profit of each customer at each level of the design, (n, L), known because the data are simulated."""

    profit: Floats

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, row: NDArray[np.int64], levels: Floats, margin: float) -> "Truth | None":
        """From ``row, sales_<level>, …``; None if the frame has no rows. Raises InputError if a level is missing."""
        if frame.empty:
            return None
        names = [f"sales_{level:g}" for level in levels]
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise InputError(f"discount: the truth has no column {missing[0]!r}; run `dvc repro`")
        sales = frame.set_index("row").loc[row, names].to_numpy(np.float64)
        return cls(margin * sales - levels)

    def of(self, given: NDArray[np.bool_], share: Floats) -> float:
        """True profit per customer of a rule that gives these levels, each as often as in the design."""
        return float((((given * self.profit) @ share) / (given @ share)).mean())

    def oracle(self, menu: Menu) -> float:
        """Profit per customer if each got its best level, of those that the log supports for anybody."""
        allowed = menu.members[menu.seen].any(axis=0)
        return float(self.profit[:, allowed].max(axis=1).mean())


def true_profits(
    doses: pd.DataFrame, menu: Menu, supported: NDArray[np.bool_], truth: Truth | None
) -> dict[str, float]:
    """True profit per customer of every rule; empty where the truth is not known."""
    if truth is None:
        return {}
    return {
        str(name): truth.of(levels_given(str(name), doses[name].to_numpy(np.float64), menu, supported), menu.share)
        for name in doses.columns
    }


def policy_metrics(values: Mapping[str, DoseValue], true: Mapping[str, float], oracle: float | None) -> dict[str, Any]:
    """What ``metrics/discount/policies.json`` says of every rule."""
    table = {}
    for name, value in values.items():
        rows: dict[str, Any] = {
            "mean_dose": value.mean_dose,
            "share_given": value.share_given,
            "effective_customers": value.effective_customers,
            **value.ips.named("ips"),
            "snips": value.snips,
            **value.dr.named("dr"),
            "dr_simultaneous_ci_low": value.simultaneous.ci_low,
            "dr_simultaneous_ci_high": value.simultaneous.ci_high,
        }
        if value.versus_none is not None:
            rows |= value.versus_none.named("vs_no_discount")
            rows |= {"vs_no_discount_p_value": value.p_none, "vs_no_discount_p_value_adjusted": value.p_none_adjusted}
        rows |= value.versus_best_constant.named("vs_best_constant")
        rows["vs_best_constant_p_value"] = value.p_best_constant
        if oracle is not None:
            rows |= {"true_profit": true[name], "regret": oracle - true[name]}
        table[name] = rows
    return table


def headline(
    champion: str, value: DoseValue, n: int, true: float | None, oracle: float | None, menu: Menu
) -> dict[str, Any]:
    """What ``metrics/discount.json`` says."""
    rows: dict[str, Any] = {"champion": champion, **value.dr.named("profit_per_customer")}
    if value.versus_none is not None:
        rows |= value.versus_none.named("lift_over_no_discount")
        rows["lift_over_no_discount_p_value"] = value.p_none
    rows |= value.versus_best_constant.named("lift_over_best_constant")
    rows |= {
        "lift_over_best_constant_p_value": value.p_best_constant,
        "best_constant": value.best_constant,
        "mean_dose": value.mean_dose,
        "share_given": value.share_given,
        "effective_customers": value.effective_customers,
        "doses": int(menu.seen.sum()),
        "n": n,
    }
    if true is not None and oracle is not None:
        rows |= {
            "true_profit_per_customer": true,
            "oracle_profit_per_customer": oracle,
            "regret_per_customer": oracle - true,
        }
    return rows


def rule_of(policy: str) -> str:
    """``best.varying_coefficients`` → best; ``constant_120`` → constant."""
    head = policy.partition(".")[0]
    return head if head in (BEST, PESSIMISTIC, BUDGET) else CONSTANT


def _all_values(scores: DoseScores, given: Mapping[str, NDArray[np.bool_]]) -> tuple[Floats, Floats]:
    results = [scores.value(levels) for levels in given.values()]
    return np.array([value for value, _ in results]), np.column_stack([influence for _, influence in results])


def _bands(values: Floats, influence: Floats, rng: np.random.Generator, replicates: int) -> Bands:
    return simultaneous_bands(values, influence, None, rng, replicates=replicates)
