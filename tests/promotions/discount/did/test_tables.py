"""What the comparisons over time write."""

import numpy as np

from promotions.discount.did.comparisons import compare_estimators, composition
from promotions.discount.did.design import make_panel
from promotions.discount.did.event_study import event_study
from promotions.discount.did.group_time import group_time
from promotions.discount.did.parallel_trends import sensitivity
from promotions.discount.did.tables import summary
from tests.support.drawn_panel import DESIGN, draw_panel
from tests.support.randomness import rng_of


def test_the_metrics_are_numbers_strings_and_booleans_without_gaps():
    panel = make_panel(draw_panel(), DESIGN)
    studies = {("group", "profit"): event_study(panel, "group", "profit", rng_of())}
    studies["group", "discount"] = event_study(panel, "group", "discount", rng_of())
    honest = sensitivity(studies["group", "profit"], [0.0, 0.2])
    found = summary(
        panel,
        compare_estimators(panel, outcomes=("profit",)),
        composition(panel, ["age"]),
        studies,
        honest,
        {"profit": group_time(panel, "profit")},
    )

    def leaves(part):
        for value in part.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    for leaf in leaves(found):
        assert isinstance(leaf, (bool, int, float, str))
        assert not isinstance(leaf, float) or np.isfinite(leaf)
    assert found["group"]["did"]["contaminated"] is True
    assert found["group"]["did_clean"]["contaminated"] is False
    assert found["design"]["region"] == {"column": "cust_state", "level": "MG", "month": 5.0}
    clean = found["group"]["did_clean"]
    assert clean["profit_clustered_ci_low"] < clean["profit"] < clean["profit_clustered_ci_high"]
    assert "profit_clustered_se" not in found["region"]["did_clean"]
    first = found["group_event_study"]["profit"]
    assert first["first_month_ci_low"] < first["first_month"] < first["first_month_ci_high"]
    assert found["group_time"]["profit"]["overall_se"] > 0
    assert 0 <= found["composition"]["group"]["age"]["change_p_value_holm"] <= 1
    early = found["group_sensitivity"]["first"]
    assert early["effect_ci_low_at_0"] < early["effect"] < early["effect_ci_high_at_0"]
