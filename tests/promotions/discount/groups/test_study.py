"""Effects, curves and rules of every column: who pays, order of rows, predictions of other folds, bad input."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting
from promotions.discount.groups.study import PREDICTED, Settings, predict_sales, study_groups
from promotions.discount.groups.tables import effects_table, values_table
from tests.support.drawn_customers import draw_customers
from tests.support.randomness import rng_of

MODEL = {
    "trees": 20,
    "leaves": 4,
    "learning_rate": 0.1,
    "min_leaf": 50,
    "feature_share": 1.0,
    "row_share": 1.0,
    "l2": 1,
}
FEATURES = ["age", "tenure", "gender"]


def settings(**changed):
    params = {"by": {"age": 4, "gender": 1}, "bands": 3, "least": 100, "model": MODEL}
    return Settings.from_params({**params, **changed})


@pytest.fixture(scope="module")
def drawn():
    return draw_customers()


@pytest.fixture(scope="module")
def study(drawn):
    by = {"age": 4, "tenure": 3, PREDICTED: 3, "gender": 1}
    log = draw_customers(2, 6000, log=True)
    return study_groups(drawn, log, FEATURES, ["sales_prediction"], settings(by=by), rng_of())


def test_the_study_finds_who_pays_and_its_rules_beat_every_constant(study):
    by_age = study.columns["age"]
    assert by_age.effects["profit"].frame["ci_high"].iloc[0] < 0 < by_age.effects["profit"].frame["ci_low"].iloc[-1]
    assert by_age.worth["log"].versus_best_constant.ci_low > 0
    assert by_age.worth["test"].versus_best_constant.ci_low > 0
    assert study.columns["tenure"].effects["profit"].equal_p_value > 0.001
    assert study.columns["gender"].curves == {}
    assert study.columns[PREDICTED].curves["profit"].area_p_value < 1e-6
    assert {"test_1", "test_5", "log"} <= set(by_age.rules)


def test_the_order_of_rows_changes_no_number(drawn):
    log = draw_customers(2, 2000, log=True)
    chosen = settings(by={"age": 3, PREDICTED: 2})

    def numbers(one, other):
        found = study_groups(one, other, FEATURES, ["sales_prediction"], chosen, rng_of())
        return effects_table(found), values_table(found)

    shuffled = numbers(drawn.sample(frac=1, random_state=1), log.sample(frac=1, random_state=2))
    for mine, theirs in zip(numbers(drawn, log), shuffled, strict=True):
        pd.testing.assert_frame_equal(mine, theirs, rtol=1e-10)


def test_without_a_log_the_test_alone_gives_a_rule(drawn):
    empty = pd.DataFrame({name: pd.Series(dtype=float) for name in ("sales", "discount", "profit")})
    found = study_groups(drawn, empty, FEATURES, [], settings(by={"age": 3}), rng_of())
    rules = found.columns["age"].worth
    assert "log" not in rules
    assert "test" in rules


def test_predictions_of_the_log_come_of_other_folds():
    """Sales that are pure noise cannot be predicted; a model that had seen them would seem to."""
    log, randomised = draw_customers(4, 3000, log=True), draw_customers(5, 500)
    noise = log.assign(sales=rng_of(6).normal(size=3000))
    model = Boosting(trees=200, leaves=31, min_leaf=5, feature_share=1.0, row_share=1.0)
    held_out, _ = predict_sales(noise, randomised, ["age", "tenure"], model, rng_of())
    assert abs(np.corrcoef(held_out, noise["sales"])[0, 1]) < 0.08
    held_out, new = predict_sales(log, randomised, ["age", "tenure"], Boosting(trees=50), rng_of())
    assert np.corrcoef(held_out, log["sales"])[0, 1] > 0.3
    assert np.corrcoef(new, randomised["age"])[0, 1] > 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": {}}, r"discount\.groups\.by: expected columns"),
        ({"by": {"age": 0}}, r"discount\.groups\.by\.age: expected a whole number from 1 to 100, got 0"),
        ({"by": {"age": []}}, r"discount\.groups\.by\.age: expected a number of bins or a list of cuts"),
        ({"by": {"age": ["40"]}}, r"discount\.groups\.by\.age: expected a number of bins or a list of cuts"),
        ({"least": 1}, r"discount\.groups\.least: expected a whole number of 10 or more, got 1"),
        ({"model": {"trees": 0}}, r"discount\.groups\.model\.trees"),
        ({"steps": 3}, r"discount\.groups\.steps is unknown"),
    ],
)
def test_wrong_parameters_are_named(change, message):
    with pytest.raises(InputError, match=message):
        settings(**change)


@pytest.mark.parametrize(
    ("tables", "by", "message"),
    [
        (("none", "log"), {"age": 3}, "no randomised table"),
        (("one level", "log"), {"age": 3}, "one level of the discount only, 10"),
        (("drawn", "none"), {PREDICTED: 3}, "no observational table to learn from"),
        (("drawn", "log"), {"spend_3m": 3}, "no feature measured before the discount; there are predicted_sales, age"),
        (
            ("drawn", "log"),
            {"gender": 1},
            "with discount.groups.least 5000 the 4,000 randomised customers make one band",
        ),
    ],
)
def test_what_the_tables_cannot_answer_is_said_in_one_line(drawn, tables, by, message):
    log = draw_customers(2, 500, log=True)
    known = {"drawn": drawn, "log": log, "one level": drawn.assign(discount=10.0)}
    one, other = (known.get(name, log.iloc[:0]) for name in tables)
    with pytest.raises(InputError, match=message):
        study_groups(one, other, FEATURES, [], settings(by=by, least=5000 if "gender" in by else 100), rng_of())
