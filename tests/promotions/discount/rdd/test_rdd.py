"""The cut-off: published and real numbers, rdrobust itself, coverage of known jumps, and the checks around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest
import pytest
from rdrobust import rdrobust
from rdrobust.datasets import rdrobust_RDsenate
from scipy import integrate, stats
from threadpoolctl import threadpool_limits

from promotions.base.errors import InputError
from promotions.discount.prepare.simulated import draw_cutoff, simulate, truth
from promotions.discount.rdd import checks as rdd_checks
from promotions.discount.rdd import honest
from promotions.discount.rdd import jump as rdd
from promotions.discount.rdd import study as analysis
from promotions.discount.rdd.jump import ABOVE, FROM, Cutoff, Design, jump, ratio, robust_jump
from promotions.discount.rdd.study import Settings
from tests.support.randomness import rng_of

SOURCE = Path(__file__).parents[4] / "src"
OUTCOMES = ("discount", "sales", "profit")
PARAMS = {"cutoff": 19, "treated": "above", "bandwidths": [3, 4], "curvature": "estimated", "density_bend": "normal"}
SETTINGS = Settings.from_params(PARAMS)


@pytest.fixture(scope="module", autouse=True)
def _linear_algebra_on_one_thread():
    """As a stage has it; many small products on two threads wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def real(real_tables):
    """The real cut-off table: its design and its three outcomes."""
    frame = real_tables["cutoff"]
    outcomes = {name: frame[name].to_numpy(dtype=np.float64) for name in OUTCOMES}
    return Design.of(frame["tenure"].to_numpy(dtype=np.float64), Cutoff(19)), outcomes


# ── the real table ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_global_and_local_lines_of_the_real_table(real):
    design, outcomes = real
    assert jump(outcomes["discount"], design).slope.robust.estimate == pytest.approx(184.7626, abs=5e-5)
    profit = jump(outcomes["profit"], design)
    assert profit.slope.robust.estimate == pytest.approx(-7.60153, abs=5e-6)
    assert profit.slope.classical.error == pytest.approx(1.6326, abs=5e-5)
    assert jump(outcomes["profit"], design, 4).slope.robust.estimate == pytest.approx(-8.3126, abs=5e-5)
    assert jump(outcomes["profit"], design, 3).slope.robust.estimate == pytest.approx(-6.1449, abs=5e-5)


def test_reading_the_jump_a_month_later_is_another_number(real):
    design, outcomes = real
    later = Design(design.distance - 1, design.treated)
    assert jump(outcomes["profit"], later).slope.robust.estimate == pytest.approx(-7.7623, abs=1e-4)
    found = analysis.readings(outcomes["profit"], design.distance + 19, Cutoff(19), 4)
    assert found["last_untreated"] == pytest.approx(-8.3126, abs=5e-5)
    assert found["first_treated"] == pytest.approx(jump(outcomes["profit"], later, 4).slope.robust.estimate)


@pytest.mark.parametrize("name", OUTCOMES)
def test_robust_jumps_of_the_real_table_are_rdrobusts_own(real, name):
    design, outcomes = real
    ours = robust_jump(outcomes[name], design)
    # Treated from an epsilon above 19 on is "above 19"; the epsilon moves the last digits of the bandwidth.
    theirs = rdrobust(outcomes[name], design.distance + 19, c=19 + 1e-9)
    assert ours.estimate == pytest.approx(theirs.coef.iloc[0, 0], rel=1e-5)
    assert (ours.ci_low, ours.ci_high) == pytest.approx(tuple(theirs.ci.iloc[2]), rel=1e-4)
    assert ours.bandwidth == pytest.approx(theirs.bws.iloc[0, 0], rel=1e-4)
    assert [ours.below, ours.above] == [int(count) for count in theirs.N_h]


def test_the_real_effect_per_dollar_is_the_ratio_and_rdrobusts(real):
    design, outcomes = real
    ours = robust_jump(outcomes["profit"], design, dose=outcomes["discount"])
    theirs = rdrobust(outcomes["profit"], design.distance, c=1e-9, fuzzy=outcomes["discount"])
    assert ours.estimate == pytest.approx(theirs.coef.iloc[0, 0], rel=1e-6)
    assert (ours.ci_low, ours.ci_high) == pytest.approx(tuple(theirs.ci.iloc[2]), rel=1e-5)
    whole = ratio(jump(outcomes["profit"], design), jump(outcomes["discount"], design))
    assert whole.effect.estimate == pytest.approx(-7.601526936 / 184.7625802, rel=1e-8)
    assert whole.effect.ci_high < 0


# ── rdrobust's example ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_senate_elections_as_published_with_rdrobust():
    votes = rdrobust_RDsenate().dropna(subset=["vote", "margin"])
    found = robust_jump(votes["vote"].to_numpy(), Design.of(votes["margin"].to_numpy(), Cutoff(0, FROM)))
    assert found.estimate == pytest.approx(7.414, abs=5e-4)
    assert (found.ci_low, found.ci_high) == pytest.approx((4.094, 10.919), abs=5e-4)
    assert found.bandwidth == pytest.approx(17.754, abs=5e-4)
    assert found.bias_bandwidth == pytest.approx(28.028, abs=5e-4)
    assert (found.below, found.above) == (360, 323)


def test_the_conventional_estimate_at_rdrobusts_bandwidth_is_our_own_line():
    votes = rdrobust_RDsenate().dropna(subset=["vote", "margin"])
    y, design = votes["vote"].to_numpy(), Design.of(votes["margin"].to_numpy(), Cutoff(0, FROM))
    found = robust_jump(y, design)
    assert jump(y, design, found.bandwidth).slope.robust.estimate == pytest.approx(found.estimate, rel=1e-9)
    cells = honest.Cells.of(y[:, None], design)
    assert honest.honest_jump(cells, 0.1, found.bandwidth).estimate == pytest.approx(found.estimate, rel=1e-9)


# ── jumps and ratios against other packages ──────────────────────────────────────────────────────────────────────────


def drawn(n, seed, *, values=None, jump_of_dose=10.0):
    """A fuzzy design: the dose jumps, and a dollar adds −0.5 to an outcome that rises in the running variable."""
    rng = rng_of(seed)
    x = rng.uniform(-1, 1, n) if values is None else rng.choice(values, n)
    treated = x > 0
    dose = np.maximum(0, 5 + 2 * x + jump_of_dose * treated * (rng.random(n) < 0.8) + rng.normal(size=n))
    outcome = 20 + 3 * x - 0.5 * dose + rng.normal(size=n) * (1 + treated)
    return outcome, dose, x


def test_jump_and_errors_are_pyfixests():
    outcome, _, x = drawn(800, 1, values=np.arange(-6, 7))
    design = Design.of(x, Cutoff(0))
    frame = pd.DataFrame({"y": outcome, "x": x, "t": (x > 0) * 1.0, "w": np.maximum(0, 1 - np.abs(x) / 5)})
    for width, rows, weights in ((np.inf, frame, None), (5, frame[frame["w"] > 0], "w")):
        found = jump(outcome, design, width)
        for kind, vcov in (("robust", "HC1"), ("classical", "iid"), ("clustered", {"CRV1": "x"})):
            theirs = pyfixest.feols("y ~ t + x + t:x", rows, vcov=vcov, weights=weights)
            ours = getattr(found.slope, kind)
            assert ours.estimate == pytest.approx(theirs.coef()["t"], rel=1e-8)
            assert ours.error == pytest.approx(theirs.se()["t"], rel=1e-7)
        assert found.linear @ outcome[found.used] == pytest.approx(found.slope.robust.estimate, rel=1e-9)


def test_the_ratio_is_two_stage_least_squares():
    outcome, dose, x = drawn(900, 2)
    design = Design.of(x, Cutoff(0))
    found = ratio(jump(outcome, design), jump(dose, design))
    frame = pd.DataFrame({"y": outcome, "d": dose, "x": x, "t": (x > 0) * 1.0}).assign(xt=lambda f: f["x"] * f["t"])
    theirs = pyfixest.feols("y ~ x + xt | d ~ t", frame, vcov="HC1")
    assert found.effect.estimate == pytest.approx(theirs.coef()["d"], rel=1e-8)
    assert found.effect.error == pytest.approx(theirs.se()["d"], rel=1e-6)


def test_ends_of_anderson_and_rubins_interval_leave_a_jump_that_is_just_significant():
    outcome, dose, x = drawn(300, 3, jump_of_dose=1.5)
    design = Design.of(x, Cutoff(0))
    found = ratio(jump(outcome, design), jump(dose, design))
    for end in (found.ar_low, found.ar_high):
        rest = jump(outcome - end * dose, design).slope.robust
        assert abs(rest.estimate / rest.error) == pytest.approx(1.959964, rel=1e-6)
    assert found.ar_low < found.effect.estimate < found.ar_high
    # The jump of the dose is small: the set is not symmetric.
    assert abs((found.ar_high + found.ar_low) / 2 - found.effect.estimate) > 0.05 * found.effect.error


def test_above_and_from_the_next_value_are_the_same_customers():
    _, dose, x = drawn(500, 4, values=np.arange(-6, 7))
    above, start = Design.of(x, Cutoff(0)), Design.of(x, Cutoff(1, FROM))
    assert (above.treated == start.treated).all()
    shifted = Design(above.distance - 1, above.treated)
    assert jump(dose, shifted, 4).slope == jump(dose, start, 4).slope


def test_mirroring_the_running_variable_mirrors_nothing_else():
    outcome, dose, x = drawn(700, 5)
    plain = Design.of(x, Cutoff(0))
    assert robust_jump(outcome, Design.of(-x, Cutoff(0))).estimate == pytest.approx(
        -robust_jump(outcome, plain).estimate, rel=1e-9
    )
    assert robust_jump(outcome, Design.of(-x, Cutoff(0)), dose=dose).estimate == pytest.approx(
        robust_jump(outcome, plain, dose=dose).estimate, rel=1e-9
    )


def test_a_fixed_discount_jumps_exactly():
    outcome, _, x = drawn(800, 6)
    fixed, design = np.where(x > 0, 25.0, 0.0), Design.of(x, Cutoff(0))
    found = robust_jump(fixed, design)
    assert (found.estimate, found.error, found.p_value) == (25, 0, 0)
    per_dollar = ratio(jump(outcome, design), jump(fixed, design))
    assert per_dollar.effect.estimate == pytest.approx(jump(outcome, design).slope.robust.estimate / 25, rel=1e-9)
    assert robust_jump(outcome, design, dose=fixed).estimate == pytest.approx(
        robust_jump(outcome, design).estimate / 25, rel=1e-6
    )


# ── coverage ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# The designs of Imbens & Kalyanaraman (2012) and Calonico, Cattaneo & Titiunik (2014): polynomials fitted to Lee's
# (2008) elections and to Ludwig & Miller's (2007) Head Start, x = 2·Beta(2, 4) − 1, normal noise of .1295.
LEE = ([0.48, 1.27, 7.18, 20.21, 21.54, 7.33], [0.52, 0.84, -3.00, 7.99, -9.01, 3.56], 0.04)
LUDWIG_MILLER = ([3.71, 2.30, 3.28, 1.45, 0.23, 0.03], [0.26, 18.49, -54.81, 74.30, -45.02, 9.83], -3.45)


@pytest.mark.parametrize("shape", [LEE, LUDWIG_MILLER], ids=["lee", "ludwig_miller"])
def test_robust_intervals_cover_where_global_lines_do_not(shape):
    below, above, truth = shape
    covered, naive, repeats = 0, 0, 60
    for seed in range(repeats):
        rng = rng_of(seed)
        x = 2 * rng.beta(2, 4, 500) - 1
        mean = np.where(x < 0, np.polyval(below[::-1], x), np.polyval(above[::-1], x))
        y, design = mean + 0.1295 * rng.normal(size=500), Design.of(x, Cutoff(0, FROM))
        found, line = robust_jump(y, design), jump(y, design).slope.robust
        covered += found.ci_low <= truth <= found.ci_high
        naive += line.ci_low <= truth <= line.ci_high
    # 50 or fewer of 60 have probability .001 at a coverage of .95.
    assert covered > 50
    assert naive < 40


def test_ratios_cover_the_effect_of_a_dollar():
    covered, repeats = {"delta": 0, "anderson_rubin": 0, "honest": 0}, 150
    for seed in range(repeats):
        outcome, dose, x = drawn(400, 100 + seed, values=np.arange(-8, 9) / 8)
        design = Design.of(x, Cutoff(0))
        found = ratio(jump(outcome, design), jump(dose, design))
        covered["delta"] += found.effect.ci_low <= -0.5 <= found.effect.ci_high
        covered["anderson_rubin"] += found.ar_low <= -0.5 <= found.ar_high
        cells = honest.Cells.of(np.column_stack([outcome, dose]), design)
        exact = honest.honest_ratio(cells, (0.0, 0.0), np.inf)
        covered["honest"] += exact.ci_low <= -0.5 <= exact.ci_high
    assert all(133 <= count <= 149 for count in covered.values()), covered


def bent(side, curvature):
    """The function with the largest bias: lines bend up above the cut-off and down below it."""
    return curvature / 2 * np.where(side > 0, side**2, -(side**2))


def discrete_sample(rng, mean_of):
    """600 customers in whole months from −6 to 7; treated above 0, noise 1."""
    x = rng.integers(-6, 8, 600).astype(float)
    return mean_of(x) + rng.normal(size=600), Design.of(x, Cutoff(0))


def test_honest_intervals_cover_the_worst_bend_and_conventional_ones_do_not():
    curvature, repeats = 0.15, 200
    covered = {"honest": 0, "conventional": 0, "straight": 0}
    rng = rng_of(7)
    for _ in range(repeats):
        y, design = discrete_sample(rng, lambda x: bent(x, curvature))
        cells = honest.Cells.of(y[:, None], design)
        found = honest.honest_jump(cells, curvature)
        covered["honest"] += found.ci_low <= 0 <= found.ci_high
        plain = jump(y, design, 7).slope.robust
        covered["conventional"] += plain.ci_low <= 0 <= plain.ci_high
        y, design = discrete_sample(rng, lambda x: 2 * x)
        found = honest.honest_jump(honest.Cells.of(y[:, None], design), curvature)
        covered["straight"] += found.ci_low <= 0 <= found.ci_high
    # At the worst bend 95 %: 190 of 200, and three standard errors about it; without any bend more.
    assert 181 <= covered["honest"] <= 199
    assert covered["straight"] >= covered["honest"]
    assert covered["conventional"] < 140


def test_clustering_by_value_is_no_remedy():
    """Kolesár & Rothe (2018): with few values clustered errors are too small even where the line is right."""
    clustered, robust, rng = 0, 0, rng_of(8)
    for _ in range(150):
        y, design = discrete_sample(rng, lambda x: 2 * x)
        found = jump(y, design, 4).slope
        clustered += abs(found.robust.estimate) <= 1.96 * found.clustered.error
        robust += found.robust.ci_low <= 0 <= found.robust.ci_high
    assert robust > 134
    assert clustered < 120


def test_the_rule_for_the_bend_covers_functions_that_bend_as_they_do_elsewhere():
    covered, rng = 0, rng_of(9)
    for _ in range(150):
        y, design = discrete_sample(rng, lambda x: 0.06 * x**2 + 3 * np.sin(x / 4))
        bound = honest.curvature_bound(y, design)
        found = honest.honest_jump(honest.Cells.of(y[:, None], design), bound)
        covered += found.ci_low <= 0 <= found.ci_high
    assert covered >= 139


def test_the_simulated_shops_jumps_are_covered():
    inside, expected = 0, float(str(truth()["effect_per_dollar_at_cutoff"]))
    for seed in range(60):
        frame = draw_cutoff(3000, rng_of(seed))
        design = Design.of(frame["tenure"].to_numpy(dtype=float), Cutoff(19))
        outcomes = {name: frame[name].to_numpy(dtype=float) for name in OUTCOMES}
        found = ratio(jump(outcomes["profit"], design, 5), jump(outcomes["discount"], design, 5))
        inside += found.ar_low <= expected <= found.ar_high
    assert 50 < inside < 60


# ── honest intervals ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_critical_values_are_the_folded_normals():
    assert honest.critical_value(0) == pytest.approx(1.959964, abs=1e-6)
    for bias in (0.1, 0.5, 1.0, 3.0, 7.9, 8.1, 50.0):
        value = honest.critical_value(bias)
        assert stats.norm.cdf(value - bias) - stats.norm.cdf(-value - bias) == pytest.approx(0.95, abs=1e-8)
    assert honest.critical_value(100) == pytest.approx(100 + stats.norm.ppf(0.95))


@pytest.mark.parametrize("width", [2.5, 4.0, np.inf])
def test_the_largest_bias_is_attained_and_is_half_the_second_moment(width):
    y, design = discrete_sample(rng_of(10), lambda x: 0 * x)
    cells = honest.Cells.of(y[:, None], design)
    weights = cells.weights(width)
    largest = cells.largest_bias(weights)
    assert abs(weights @ bent(cells.distance, 1)) == pytest.approx(largest, rel=1e-9)
    # At a boundary (Armstrong & Kolesár 2020) with a local line, whatever the kernel.
    sides = [abs(weights[side] @ cells.distance[side] ** 2) / 2 for side in (cells.treated, ~cells.treated)]
    assert sum(sides) == pytest.approx(largest, rel=1e-9)
    np.testing.assert_allclose(
        [weights.sum(), weights @ cells.distance, weights[cells.treated].sum()], [0, 0, 1], atol=1e-9
    )


def test_the_largest_bias_of_any_weights_is_the_integral_of_its_tails():
    rng = rng_of(11)
    x, weights = rng.uniform(0, 3, 6), rng.normal(size=6)

    def tail(s):
        return abs((weights * np.maximum(x - s, 0)).sum())

    assert honest._area_of_tails(x, weights) == pytest.approx(
        integrate.quad(tail, 0, 3, points=np.sort(x), limit=400)[0], rel=1e-6
    )


def test_errors_are_those_within_values_and_lone_customers_borrow():
    rng = rng_of(12)
    x = np.concatenate([np.repeat(np.arange(-5.0, 6), 40), [7.0, 8.0, 9.0]])
    y = rng.normal(size=len(x)) * (2 + (x > 0))
    design = Design.of(x, Cutoff(0))
    cells = honest.Cells.of(y[:, None], design)
    within = [y[x == value].var(ddof=1) for value in (0.0, -1.0, -2.0)]
    np.testing.assert_allclose(cells.covariance[:3, 0, 0], within)
    assert cells.covariance[-1, 0, 0] == pytest.approx(y[np.isin(x, [5.0, 7.0, 8.0, 9.0])].var(ddof=1))
    assert honest.honest_jump(cells, 0.0, 6).error == pytest.approx(jump(y, design, 6).slope.robust.error, rel=0.03)


def test_the_shortest_interval_and_where_the_finding_falls():
    rng = rng_of(13)
    y, design = discrete_sample(rng, lambda x: 1.5 * (x > 0))
    cells = honest.Cells.of(y[:, None], design)
    found = honest.honest_jump(cells, 0.1)
    for width in honest.bandwidths(cells):
        other = honest.honest_jump(cells, 0.1, float(width))
        assert other.ci_high - other.ci_low >= found.ci_high - found.ci_low - 1e-12
    limit = honest.breakdown(cells)
    assert honest.honest_jump(cells, 0.99 * limit).ci_low > 0 > honest.honest_jump(cells, 1.01 * limit).ci_low
    nothing, design = discrete_sample(rng_of(14), lambda x: 0 * x)
    assert honest.breakdown(honest.Cells.of(nothing[:, None], design)) == 0


def test_more_bend_allowed_makes_longer_intervals_of_ratios():
    outcome, dose, x = drawn(500, 15, values=np.arange(-8, 9) / 8)
    cells = honest.Cells.of(np.column_stack([outcome, dose]), Design.of(x, Cutoff(0)))
    found = [honest.honest_ratio(cells, (k, k), 0.9) for k in (0.0, 0.5, 2.0)]
    lengths = [each.ci_high - each.ci_low for each in found]
    assert lengths == sorted(lengths)
    assert all(each.ci_low < each.estimate < each.ci_high for each in found)
    with pytest.raises(InputError, match="does not jump"):
        honest.honest_ratio(cells, (1.0, 500.0), 0.9)


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_frandsens_test_is_exact_and_finds_bunching():
    rng = rng_of(16)
    p_values = [rdd_checks.frandsen(*rng.multinomial(600, [1 / 3] * 3), 0.0) for _ in range(2000)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.06
    assert np.mean(np.array(p_values) < 0.5) > 0.35
    assert rdd_checks.frandsen(200, 200, 200, 0.0) == 1
    # 210 between 190 and 200 is what a bend of 8 % allows, 300 is not.
    assert rdd_checks.frandsen(190, 210, 200, 0.08) == 1
    assert rdd_checks.frandsen(190, 300, 200, 0.08) < 1e-4
    assert rdd_checks.frandsen(190, 100, 200, 0.08) < 1e-4
    bent_most = [rdd_checks.frandsen(*rng.multinomial(600, [1 / 3.2, 1.2 / 3.2, 1 / 3.2]), 0.2) for _ in range(1000)]
    assert np.mean(np.array(bent_most) < 0.05) <= 0.06


def test_the_density_of_the_real_table_is_continuous_and_bunching_is_found(real):
    design, _ = real
    months = design.distance + 19
    found = rdd_checks.density_test(months, Cutoff(19))
    assert found.counts == (1273, 1544, 1665)
    assert found.p_value > 0.05
    assert found.p_value_discrete > 0.05
    # A third of those at 19 wait a month.
    moved = months.copy()
    waiting = np.flatnonzero(months == 19)[::3]
    moved[waiting] = 20
    assert rdd_checks.density_test(moved, Cutoff(19)).p_value_discrete < 1e-6


def test_a_continuous_variable_has_no_discrete_test():
    found = rdd_checks.density_test(rng_of(17).normal(size=800), Cutoff(0))
    assert found.counts is None
    assert set(found.to_dict()) == {"p_value"}


def test_columns_that_jump_are_found_and_the_others_are_not():
    rng = rng_of(18)
    n = 3000
    x = rng.integers(-8, 9, n).astype(float)
    frame = pd.DataFrame({f"feature_{place}": rng.normal(size=n) for place in range(12)})
    frame["jumps"] = rng.normal(size=n) + 0.5 * (x > 0)
    frame["level"] = pd.Series(np.where(rng.random(n) < 0.3 + 0.3 * (x > 0), "a", "b")).astype("string")
    frame["rare"] = np.where(x == 8, 1.0, 0.0)
    found = rdd_checks.continuity(frame, list(frame), Design.of(x, Cutoff(0)), 6.0)
    assert set(found.loc[found["p_value_holm"] < 0.05, "feature"]) == {"jumps", "level"}
    # Nobody within the bandwidth has it.
    assert "rare" not in set(found["column"])
    assert found["p_value"].is_monotonic_increasing


def test_placebo_cutoffs_use_one_side_and_find_nothing(real):
    design, outcomes = real
    found = rdd_checks.placebos(design.distance + 19, {"profit": outcomes["profit"]}, Cutoff(19), 4)
    real_row = found[found["side"] == "real"].iloc[0]
    assert real_row["estimate"] == pytest.approx(-8.3126, abs=5e-5)
    fake = found[found["side"] != "real"]
    assert set(fake.loc[fake["side"] == "below", "cutoff"]) == {16, 17}
    assert (fake["p_value_holm"] > 0.05).all()
    members = design.distance > 0
    there = Design(design.distance[members] - 3, design.distance[members] > 3)
    alone = jump(outcomes["profit"][members], there, 4)
    assert fake.set_index("cutoff").loc[22, "estimate"] == pytest.approx(alone.slope.robust.estimate, rel=1e-9)


def test_bandwidths_agree_with_single_jumps(real):
    design, outcomes = real
    table = rdd_checks.by_bandwidth({"profit": outcomes["profit"]}, design, {"profit": 2.0}, [3.0, 4.0])
    assert list(table["bandwidth"]) == [float(width) for width in range(3, 14)]
    at_four = table.set_index("bandwidth").loc[4.0]
    assert at_four["estimate"] == pytest.approx(-8.3126, abs=5e-5)
    assert at_four["given"]
    assert (table["honest_low"] < table["ci_low"]).all()


# ── the search ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_search_finds_the_real_cutoff(real):
    design, outcomes = real
    found = rdd_checks.search_cutoff(outcomes["discount"], design.distance + 19, rng_of(19))
    assert found.cutoff == 19
    assert found.p_value < 0.001
    assert rdd_checks.require_found(found, "tenure") == Cutoff(19.0, ABOVE)


def test_a_search_where_nothing_jumps_is_rarely_significant():
    p_values = []
    for seed in range(120):
        rng = rng_of(seed)
        x = rng.integers(0, 20, 500).astype(float)
        dose = 10 + 0.8 * x - 0.03 * x**2 + rng.normal(size=500) * (1 + x / 10)
        p_values.append(rdd_checks.search_cutoff(dose, x, rng).p_value)
    # At 5 % 6 are expected; 13 or more have probability .005.
    assert (np.array(p_values) < 0.05).sum() < 13
    assert 0.3 < np.median(p_values) < 0.7
    with pytest.raises(InputError, match="finds no value of tenure at which the discount jumps"):
        rdd_checks.require_found(rdd_checks.Search(12, max(p_values), 9), "tenure")


def test_halves_are_disjoint_and_everybody_is_in_one():
    first, second = rdd_checks.halves(101, rng_of(20))
    assert sorted([*first, *second]) == list(range(101))
    assert len(first) == 50


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shop():
    """A simulated cut-off table, 3,000 customers, and the truth about it."""
    sizes = {"observational": 500, "randomised": 500, "cutoff": 3000, "panel": 500}
    simulation = simulate(sizes, rng_of(21))
    frame = simulation.tables["cutoff"].assign(row=np.arange(3000))
    frame["gender"] = frame["gender"].astype("string")
    return frame, ["age", "gender", "cust_state", "tenure", "spend_1m_groceries"], simulation.truth


def test_the_analysis_tells_the_whole_story_in_flat_numbers(shop):
    frame, features, known = shop
    found = analysis.analyse(frame, features, "tenure", SETTINGS, rng_of(1), known)
    text = json.dumps(found.metrics, allow_nan=False)
    assert "null" not in text
    assert "[" not in text
    per_dollar = found.metrics["profit_per_dollar"]
    assert per_dollar["truth"] == known["effect_per_dollar_at_cutoff"]
    estimators = ("global_linear", "triangular_3", "triangular_4", "robust", "honest")
    assert {f"{name}{end}" for name in estimators for end in ("", "_se", "_ci_low", "_ci_high")} <= set(per_dollar)
    assert per_dollar["honest_ci_low"] < known["effect_per_dollar_at_cutoff"] < per_dollar["honest_ci_high"]
    assert found.metrics["cutoff"]["first_treated"] == 20
    assert found.metrics["continuity"]["columns_that_jump"] == 0
    assert set(found.tables) == {"jump", "bandwidth", "placebo", "continuity"}
    points = found.tables["jump"]
    assert points[(points["kind"] == "mean") & (points["outcome"] == "profit")]["customers"].sum() == 3000


def test_a_searched_cutoff_is_estimated_by_the_other_half(shop):
    frame, features, _ = shop
    settings = Settings.from_params(PARAMS | {"cutoff": "search"})
    found = analysis.analyse(frame, features, "tenure", settings, rng_of(2), {}).metrics
    assert found["cutoff"]["value"] == 19
    assert found["cutoff"]["searched_in"] == 1500
    assert found["cutoff"]["customers_below"] + found["cutoff"]["customers_above"] == 1500
    again = analysis.analyse(frame, features, "tenure", settings, rng_of(2), {}).metrics
    assert again == found


def test_a_discount_that_is_the_same_for_everybody_above_is_analysed(shop):
    frame, features, _ = shop
    fixed = frame.assign(discount=np.where(frame["tenure"] > 19, 50.0, 0.0))
    found = analysis.analyse(fixed, features, "tenure", SETTINGS, rng_of(5), {}).metrics
    assert found["discount"]["robust"] == 50
    assert found["discount"]["honest_ci_low"] == pytest.approx(50)
    for name in ("global_linear", "robust", "honest"):
        per_dollar = found["profit"][name] / 50
        assert found["profit_per_dollar"][name] == pytest.approx(per_dollar, rel=1e-6)


def test_given_curvature_and_bend_are_used(shop):
    frame, features, _ = shop
    given = {"curvature": {"discount": 1.0, "sales": 20.0, "profit": 0.5}, "density_bend": 0.2}
    found = analysis.analyse(frame, features, "tenure", Settings.from_params(PARAMS | given), rng_of(3), {}).metrics
    assert found["profit"]["honest_curvature_bound"] == 0.5
    assert found["density"]["bend"] == 0.2


def test_a_continuous_running_variable_is_analysed_as_well():
    outcome, dose, x = drawn(1500, 22)
    frame = pd.DataFrame({"discount": dose, "sales": 20 * (outcome + dose), "profit": outcome, "score": x})
    settings = Settings.from_params(PARAMS | {"cutoff": 0.0, "bandwidths": [0.4]})
    found = analysis.analyse(frame, [], "score", settings, rng_of(4), {})
    per_dollar = found.metrics["profit_per_dollar"]
    assert per_dollar["robust_ci_low"] < -0.5 < per_dollar["robust_ci_high"]
    assert "triangular_0_4" in found.metrics["profit"]
    assert found.metrics["continuity"]["columns"] == 0
    assert (found.tables["jump"]["kind"] == "mean").sum() == 3 * 40


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cutoff", "message"),
    [
        (40, "tenure is between .* so nobody is above the cut-off 40; give a value inside"),
        (-3, "so nobody is below the cut-off -3"),
        (14, r"tenure has \d different values below the cut-off 14; 5 are needed on each side"),
        (22, "the discount does not jump at the cut-off"),
    ],
)
def test_cutoffs_that_cannot_be_are_refused(shop, cutoff, message):
    frame, features, _ = shop
    with pytest.raises(InputError, match=message) as refused:
        analysis.analyse(frame, features, "tenure", Settings.from_params(PARAMS | {"cutoff": cutoff}), rng_of(1), {})
    assert "\n" not in str(refused.value)


def test_bandwidths_and_columns_that_cannot_be_are_refused(shop):
    frame, features, _ = shop
    narrow = Settings.from_params(PARAMS | {"bandwidths": [1.5]})
    with pytest.raises(InputError, match=r"1.5 leaves less than two values above the cut-off"):
        analysis.analyse(frame, features, "tenure", narrow, rng_of(1), {})
    with pytest.raises(InputError, match="no column 'height'"):
        analysis.analyse(frame, features, "height", SETTINGS, rng_of(1), {})
    with pytest.raises(InputError, match="nothing to search among 4 different values"):
        rdd_checks.search_cutoff(np.arange(40.0), np.repeat(np.arange(4.0), 10), rng_of(1))


def test_a_dose_that_hardly_jumps_has_no_effect_per_dollar():
    outcome, dose, x = drawn(300, 23, jump_of_dose=0.0)
    design = Design.of(x, Cutoff(0))
    with pytest.raises(InputError, match="the discount does not jump at the cut-off"):
        ratio(jump(outcome, design, 0.3), jump(dose, design, 0.3))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cutoff": "nineteen"}, "cutoff: expected a number or the word search"),
        ({"treated": "below"}, "treated: 'below' is unknown"),
        ({"bandwidths": []}, "bandwidths: expected a list of one width or more"),
        ({"bandwidths": [0]}, "bandwidths: expected a number above 0"),
        ({"curvature": 3}, "curvature: expected the word estimated, or a number for each of"),
        ({"curvature": {"profit": 1}}, "curvature.discount is missing"),
        ({"density_bend": 1}, r"density_bend: expected a number in \[0, 1\)"),
        ({"width": 1}, "width is unknown"),
    ],
)
def test_parameters_are_checked(changed, message):
    with pytest.raises(InputError, match=message):
        Settings.from_params(PARAMS | changed)


def test_without_a_cutoff_table_the_stage_says_so_in_one_line_and_writes_nothing(tmp_path):
    folder = tmp_path / "data" / "discount"
    folder.mkdir(parents=True)
    roles = {"source": "files", "simulated": False, "margins": {}, "features": [], "predictions": [],
             "barred": [], "tables": dict.fromkeys(("observational", "randomised", "cutoff", "panel"), 0)}  # fmt: skip
    (folder / "roles.json").write_text(json.dumps(roles))
    (folder / "truth.json").write_text("{}")
    params = {"seed": 1, "discount": {"margin": None, "running": "tenure", "rdd": PARAMS}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    ended = subprocess.run(
        [sys.executable, str(SOURCE / "discount_rdd.py")],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: discount: there is no cutoff table")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "metrics").exists()
    assert not (tmp_path / "plots").exists()


def test_libraries_print_nothing(capsys, real):
    design, outcomes = real
    rdd.robust_jump(outcomes["profit"], design, by_value=True)
    rdd_checks.density_test(design.distance, Cutoff(0))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ""
