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
    assert "error_clustered" not in found["region"]["did_clean"]["profit"]
