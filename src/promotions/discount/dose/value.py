"""What rules for the dose earn, on customers whose discount was drawn by lot.

A dose of the menu stands for one level of the design or for several that are judged together, and is then given as the
design gave them: each of its levels with the share that it had. Its value assumes only the lot.
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
from promotions.discount.dose.choice import BEST, BUDGET, PESSIMISTIC, Menu
from promotions.discount.response.curves import MAX_LEVELS
from promotions.discount.response.learners import BINNING, Floats
from promotions.discount.rules import CONSTANT, RuleValue, constant, value_of_rules
from promotions.discount.scores import DoseScores
from promotions.discount.tables import in_order_of_content

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


def evaluate_doses(
    doses: pd.DataFrame,
    menu: Menu,
    supported: NDArray[np.bool_],
    scores: DoseScores,
    rng: np.random.Generator,
    replicates: int,
) -> dict[str, RuleValue]:
    """Value of every rule, see ``value_of_rules``; rivals are the constants of doses that the log supports.

    doses: (n, policies), levels in money, with ``constant_<dose>`` among the columns.  supported: (n, L).
    """
    given = {
        str(name): levels_given(str(name), doses[name].to_numpy(np.float64), menu, supported) for name in doses.columns
    }
    rivals = [constant(f"{dose:g}") for dose in menu.labels[menu.seen]]
    none = constant("0") if constant("0") in given else None
    return value_of_rules(given, rivals, none, menu.levels, scores, rng, replicates)


def levels_given(policy: str, doses: Floats, menu: Menu, supported: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The levels that a policy gives to each customer, (n, L): a constant gives all of its dose's to everybody."""
    return menu.given(menu.index_of(doses), None if rule_of(policy) == CONSTANT else supported)


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
    with a column that marks the table. Only the doubly robust scores use them: these are unbiased whatever the models
    predict, and more precise with better models.
    """
    frame = pd.concat([log, randomised], ignore_index=True)[["sales", "discount", *features]]
    encoder = fit_encoder(frame, list(features), MAX_LEVELS)
    # Sorted by content, so that no model depends on the order of a file.
    log = in_order_of_content(log[["sales", "discount", *features]])
    drawn = in_order_of_content(randomised[["sales", "discount", *features]].assign(row=np.arange(len(randomised))))
    log_features, test_features = encoder.transform(log), encoder.transform(drawn)
    seeds = rng.integers(2**31, size=2)
    fold = np.random.default_rng(seeds[0]).permutation(len(drawn)) % folds

    def table(dose: Floats, customer_features: Floats, of_test: bool) -> Floats:
        return np.column_stack([dose, np.full(len(customer_features), float(of_test)), customer_features])

    log_rows = table(log["discount"].to_numpy(np.float64), log_features, False)
    test_rows = table(drawn["discount"].to_numpy(np.float64), test_features, True)

    def without(held: NDArray[np.bool_]) -> Floats:
        lgb = lightgbm()
        rows = np.vstack([log_rows, test_rows[~held]])
        sales = np.concatenate([log["sales"].to_numpy(np.float64), drawn["sales"].to_numpy(np.float64)[~held]])
        data = lgb.Dataset(rows, sales, params=BINNING)
        arguments = boosting.arguments(int(seeds[1])) | {"objective": "regression"}
        booster = lgb.train(arguments, data, num_boost_round=boosting.trees)
        columns = [
            booster.predict(table(np.full(int(held.sum()), level), test_features[held], True), num_threads=1)
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


def policy_metrics(values: Mapping[str, RuleValue], true: Mapping[str, float], oracle: float | None) -> dict[str, Any]:
    """What ``metrics/discount/policies.json`` says of every rule."""
    table: dict[str, Any] = {name: value.to_dict() for name, value in values.items()}
    if oracle is not None:
        for name, numbers in table.items():
            numbers |= {"true_profit": true[name], "regret": oracle - true[name]}
    return table


def headline(
    champion: str, value: RuleValue, n: int, true: float | None, oracle: float | None, menu: Menu
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
