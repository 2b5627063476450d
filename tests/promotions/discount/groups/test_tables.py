"""What the analyses by groups write."""

import numpy as np

from promotions.boosting.settings import Boosting
from promotions.discount.groups.study import PREDICTED, Settings, study_groups
from promotions.discount.groups.tables import curves_table, effects_table, rules_table, summary, values_table
from tests.support.drawn_customers import draw_customers
from tests.support.randomness import rng_of


def test_metrics_and_tables_have_no_gaps_where_numbers_are_promised():
    by = {"age": 4, "tenure": 3, PREDICTED: 3, "gender": 1}
    settings = Settings(by, bands=3, least=100, model=Boosting(trees=20))
    log = draw_customers(2, 6000, log=True)
    study = study_groups(draw_customers(), log, ["age", "tenure", "gender"], ["sales_prediction"], settings, rng_of())

    def leaves(part):
        for value in part.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    metrics = summary(study)
    for leaf in leaves(metrics):
        assert isinstance(leaf, (bool, int, float, str))
        assert not isinstance(leaf, float) or np.isfinite(leaf)
    effects = effects_table(study)
    assert set(effects["outcome"]) == {"profit", "sales"}
    assert effects.groupby(["column", "outcome"])["customers"].sum().max() == 4000
    assert set(curves_table(study)["column"]) == {"age", "tenure", PREDICTED}
    assert rules_table(study).groupby(["column", "policy", "bin"])["chosen"].sum().eq(1).all()
    values = values_table(study)
    assert set(values["column"]) == set(study.columns)
    # What the tables and the metrics say of a rule has one name in both.
    for name, column in metrics["columns"].items():
        for policy, numbers in column["policies"].items():
            row = values[(values["column"] == name) & (values["policy"] == policy)].iloc[0]
            shared = set(numbers) & set(values)
            assert {"dr", "dr_se", "vs_best_constant_ci_low", "vs_best_constant_p_value_holm"} <= shared
            assert {key: numbers[key] for key in shared} == {key: row[key] for key in shared}
