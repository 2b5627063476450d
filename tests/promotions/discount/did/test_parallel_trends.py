"""Effects without parallel trends: another package's intervals, the power of the test, the breakdown."""

import numpy as np
import pytest
from scipy import optimize, stats

from promotions.discount.did.design import Design, make_panel
from promotions.discount.did.event_study import event_study
from promotions.discount.did.parallel_trends import sensitivity
from tests.support.drawn_panel import DESIGN, draw_panel
from tests.support.randomness import rng_of


@pytest.fixture(scope="module")
def panel():
    return make_panel(draw_panel(), DESIGN)


def test_sensitivity_is_diff_diffs_and_its_detectable_slope_the_power_of_the_wald_test(panel):
    from diff_diff import HonestDiD, TwoWayFixedEffects

    rows = panel.rows[panel.rows["known"] & (panel.rows["in_region"] == 0)]
    one_state = rows.assign(cust_state="SP", treated=(rows["gender"] == "W").astype(int))
    study = event_study(make_panel(one_state, Design(DESIGN.group, None, "cust_state")), "group", "profit", rng_of())
    surface = TwoWayFixedEffects(vcov_type="hc1").fit(
        one_state, outcome="profit", treatment="treated", time="t", event_study=True, spec="pooled",
        post_periods=[3, 4, 5, 6, 7],
    )  # fmt: skip
    found = sensitivity(study, [0.0, 0.2])
    first = found.frame[found.frame["target"] == "first"].set_index("curvature")
    for curvature in (0.0, 0.2):
        theirs = HonestDiD(method="smoothness", l_vec=np.eye(5)[0]).fit(surface, M=curvature)
        assert first.loc[curvature, "ci_low"] == pytest.approx(theirs.ci_lb, rel=1e-4)
        assert first.loc[curvature, "ci_high"] == pytest.approx(theirs.ci_ub, rel=1e-4)
    steps, before = np.array([2.0, 1.0]), study.covariance[:2, :2]
    critical = stats.chi2.ppf(0.95, 2)
    noncentral = optimize.brentq(lambda value: stats.ncx2.sf(critical, 2, value) - 0.8, 1e-6, 100)
    slope = np.sqrt(noncentral / (steps @ np.linalg.solve(before, steps)))
    assert found.detectable_slope == pytest.approx(slope, rel=1e-6)


def test_intervals_exclude_zero_up_to_the_breakdown_and_not_beyond(panel):
    honest = sensitivity(event_study(panel, "group", "profit", rng_of()), [0.0, 0.2, 0.4, 0.8, 1.6])
    early = honest.frame[honest.frame["target"] == "early"]
    assert 0 < honest.breakdown < early["curvature"].max()
    excludes = (early["ci_low"] > 0) | (early["ci_high"] < 0)
    np.testing.assert_array_equal(excludes, early["curvature"] <= honest.breakdown)
    assert (early["ci_high"] - early["ci_low"]).is_monotonic_increasing
