"""The effect of a dollar: the real files' numbers, other packages, known truths, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest
import pytest
from scipy import stats
from threadpoolctl import threadpool_limits

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting
from promotions.discount.effect import study as effect
from promotions.discount.effect.partially_linear import Forest, cross_fit, folds_of, forest_dml, linear_dml
from promotions.discount.effect.study import Settings, Table
from promotions.discount.prepare.simulated import simulate
from promotions.discount.regression import Controls, slope
from promotions.discount.tables import in_order_of_content

SOURCE = Path(__file__).parents[4] / "src"
QUICK = Boosting(trees=40, leaves=7, learning_rate=0.1, min_leaf=10, feature_share=1, row_share=1)
PARAMS = {
    "ladder": ["sales_prediction_bins", "age"],
    "categories": ["sales_prediction_bins"],
    "cluster": "",
    "threshold": 30,
    "folds": 3,
    "nuisance": {"trees": 40},
    "forest": {"trees": 40, "min_leaf": 20, "row_share": 0.4},
}


@pytest.fixture(scope="module", autouse=True)
def _linear_algebra_on_one_thread():
    """As a stage has it; many small products on two threads wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def numbers(frame, name):
    return frame[name].to_numpy(dtype=np.float64)


# ── the real files ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_naive_slopes_of_the_log_have_the_wrong_sign(real_tables):
    log = real_tables["observational"]
    dose = numbers(log, "discount")
    assert slope(numbers(log, "sales"), dose).robust.estimate == pytest.approx(21.924806313467585, abs=1e-9)
    profit = slope(numbers(log, "profit"), dose).robust
    assert profit.estimate == pytest.approx(0.07431475005627175, abs=1e-12)
    assert profit.ci_low > 0


def test_controlling_for_predictions_and_age_turns_the_sign(real_tables):
    log = real_tables["observational"]
    found = {
        names: slope(numbers(log, "profit"), numbers(log, "discount"), Controls.of(log, names, names[:1]).matrix)
        for names in (("sales_prediction_bins",), ("sales_prediction_bins", "age"))
    }
    bins, with_age = found.values()
    assert bins.robust.estimate == pytest.approx(-0.02470844, abs=1e-8)
    assert bins.classical.error == pytest.approx(0.01688, abs=5e-6)
    assert bins.robust.ci_high > 0
    assert with_age.robust.estimate == pytest.approx(-0.053224, abs=1e-6)
    assert with_age.classical.error == pytest.approx(0.01565, abs=5e-6)
    assert with_age.robust.ci_high < 0


def test_the_randomised_slopes_and_the_effect_above_thirty(real_tables):
    test = real_tables["randomised"]
    dose = numbers(test, "discount")
    assert slope(numbers(test, "sales"), dose).robust.estimate == pytest.approx(19.286765416, abs=1e-9)
    profit = slope(numbers(test, "profit"), dose)
    assert profit.robust.estimate == pytest.approx(-0.03566112670736, abs=1e-12)
    assert profit.classical.error == pytest.approx(0.005887, abs=1e-6)
    # The few large discounts have outcomes that vary more: one variance for all makes it look twice as certain.
    assert profit.robust.error > 1.8 * profit.classical.error
    above = effect.effect_above(Table("randomised", test, ()), "profit", 30)
    assert above.estimate == pytest.approx(-7.955100647304356, abs=1e-10)


def test_what_was_measured_after_the_discount_contaminates_the_real_test(real_tables):
    frame = real_tables["randomised"]
    spend = [name for name in frame if name.startswith("spend")]
    after = tuple(name for name in spend if name in {f"spend_{month}m_groceries" for month in (3, 4, 5, 6)})
    table = Table(
        "randomised", frame, tuple(name for name in [*spend, "age", "tenure"] if name not in after), (), after
    )
    found = effect.effects_of_test(table, Settings())["profit"]
    assert found["contaminated"].robust.estimate == pytest.approx(-0.22, abs=0.01)
    assert found["randomised"].robust.estimate == pytest.approx(-0.035661, abs=1e-6)
    clean = Table("randomised", frame, ("age", "tenure"), (), ())
    assert "contaminated" not in effect.effects_of_test(clean, Settings())["profit"]


# ── regression against other packages ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def logged():
    """600 customers in 30 clusters, a category with a gap and a number with one."""
    rng = np.random.default_rng(1)
    n = 600
    frame = pd.DataFrame({"g": rng.integers(30, size=n), "x": rng.normal(size=n)})
    frame["level"] = pd.Series(rng.choice(["a", "b", "c"], n)).astype("string")
    frame["dose"] = 10 + 3 * frame["x"] + 2 * (frame["level"] == "b").to_numpy(float) + rng.gamma(2, 2, n)
    shock = rng.normal(size=30)[frame["g"]]
    frame["y"] = 5 - frame["dose"] + 4 * frame["x"] + shock + frame["dose"] * rng.normal(size=n)
    return frame


def test_estimates_errors_and_intervals_are_pyfixests(logged):
    controls = Controls.of(logged, ["x", "level"])
    found = slope(numbers(logged, "y"), numbers(logged, "dose"), controls.matrix, logged["g"].to_numpy())
    for kind, vcov in (("robust", "HC1"), ("classical", "iid"), ("clustered", {"CRV1": "g"})):
        theirs = pyfixest.feols("y ~ dose + x + C(level)", logged, vcov=vcov)
        ours = getattr(found, kind)
        assert ours.estimate == pytest.approx(theirs.coef()["dose"], rel=1e-8)
        assert ours.error == pytest.approx(theirs.se()["dose"], rel=1e-8)
        assert ours.p_value == pytest.approx(theirs.pvalue()["dose"], rel=1e-6)
        assert (ours.ci_low, ours.ci_high) == pytest.approx(tuple(theirs.confint().loc["dose"]), rel=1e-7)


def test_missing_values_are_controls_of_their_own(logged):
    holes = logged.copy()
    holes.loc[::7, "x"] = np.nan
    holes.loc[::5, "level"] = pd.NA
    found = Controls.of(holes, ["x", "level"])
    assert found.columns[:2] == ("x", "x__missing")
    assert set(found.columns[2:]) == {"level=a", "level=b", "level=c"}
    assert found.sources == ("x", "x", "level", "level", "level")
    by_hand = pd.get_dummies(holes["level"].fillna("none"), dtype=float).assign(
        x=holes["x"].fillna(holes["x"].median()), missing=holes["x"].isna().astype(float), y=holes["y"], d=holes["dose"]
    )
    theirs = pyfixest.feols("y ~ d + a + b + c + x + missing", by_hand, vcov="HC1")
    ours = slope(numbers(holes, "y"), numbers(holes, "dose"), found.matrix)
    assert ours.robust.error == pytest.approx(theirs.se()["d"], rel=1e-8)


def test_numbers_that_mean_levels_are_levels():
    frame = pd.DataFrame({"bin": [0.0, 1.0, 2.0, 2.0], "age": [3.0, 1.0, 4.0, 1.0]})
    assert Controls.of(frame, ["bin", "age"], ["bin"]).columns == ("bin=2", "bin=0", "bin=1", "age")


def test_a_slope_without_controls_is_covariance_over_variance(logged):
    y, dose = numbers(logged, "y"), numbers(logged, "dose")
    found = slope(y, dose).robust
    assert found.estimate == pytest.approx(np.cov(y, dose)[0, 1] / dose.var(ddof=1), rel=1e-10)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.estimate) / found.error, 598))


# ── double machine learning ──────────────────────────────────────────────────────────────────────────────────────────


def curved(n, seed, *, groups=0):
    """Effect 2 a dollar for all; choice and outcome bend in x, so that lines do not take the selection out."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(n, 3))
    common = np.zeros(n)
    codes = np.arange(n)
    if groups:
        codes = rng.integers(groups, size=n)
        common = rng.normal(size=groups)[codes]
    dose = 10 + 3 * x[:, 0] ** 2 + rng.normal(size=n) * 1.5 + common
    outcome = 2 * dose + 4 * x[:, 0] ** 2 + x[:, 1] + rng.normal(size=n) * 2 + common * rng.normal(size=n)
    return outcome, dose, x, np.unique(codes, return_inverse=True)[1]


def nuisances_of(outcome, dose, x, codes, seed, model=QUICK):
    return cross_fit({"y": outcome}, dose, x, codes, model, 3, np.random.default_rng(seed))


def test_linear_dml_is_the_regression_of_residual_on_residual():
    outcome, dose, x, codes = curved(800, 1, groups=40)
    known = nuisances_of(outcome, dose, x, codes, 2)
    found = linear_dml(outcome, dose, known.outcome["y"], known.dose, codes)
    np.testing.assert_allclose(found.dose_residual, dose - known.dose, atol=1e-9)
    rest = pd.DataFrame({"y": outcome - known.outcome["y"], "d": dose - known.dose, "g": codes})
    for kind, vcov in (("robust", "HC1"), ("clustered", {"CRV1": "g"})):
        theirs = pyfixest.feols("y ~ 0 + d", rest, vcov=vcov)
        ours = getattr(found.slope, kind)
        assert ours.estimate == pytest.approx(theirs.coef()["d"], rel=1e-9)
        assert ours.error == pytest.approx(theirs.se()["d"], rel=1e-8)


def test_double_ml_covers_the_effect_that_lines_miss():
    covered = {"linear": 0, "forest": 0, "lines": 0}
    repeats = 50
    for seed in range(repeats):
        outcome, dose, x, codes = curved(700, 10 + seed)
        known = nuisances_of(outcome, dose, x, codes, seed)
        intervals = {
            "linear": linear_dml(outcome, dose, known.outcome["y"], known.dose, None).slope.robust,
            "forest": forest_dml(outcome, dose, x, known, "y", Forest(40, 20, 0.4), seed, None).robust,
            "lines": slope(outcome, dose, x).robust,
        }
        for name, found in intervals.items():
            covered[name] += found.ci_low <= 2 <= found.ci_high
    # 41 or fewer of 50 have probability .01 at a coverage of .95.
    assert covered["linear"] > 41
    assert covered["forest"] > 41
    assert covered["lines"] == 0


def test_the_forest_weighs_customers_alike_and_the_line_by_the_doses_variance():
    rng = np.random.default_rng(3)
    n = 6000
    x = rng.uniform(size=(n, 2))
    spread = np.where(x[:, 0] < 0.5, 1.0, 3.0)
    dose = rng.normal(size=n) * spread
    outcome = np.where(x[:, 0] < 0.5, 1.0, 3.0) * dose + rng.normal(size=n)
    known = nuisances_of(outcome, dose, x, np.arange(n), 4)
    line = linear_dml(outcome, dose, known.outcome["y"], known.dose, None).slope.robust
    found = forest_dml(outcome, dose, x, known, "y", Forest(60, 20, 0.4), 5, np.arange(n))
    forest = found.robust
    # A cluster each: the same error, but for what rounding leaves.
    assert found.clustered.error == pytest.approx(forest.error, rel=1e-12)
    assert line.estimate == pytest.approx((1 * 1 + 3 * 9) / 10, abs=0.1)
    assert forest.estimate == pytest.approx(2, abs=0.1)


def test_no_customer_is_predicted_by_a_model_that_saw_the_cluster():
    codes = np.random.default_rng(5).integers(25, size=500)
    fold = folds_of(codes, 4, np.random.default_rng(6))
    assert all(len(np.unique(fold[codes == cluster])) == 1 for cluster in range(25))
    assert np.ptp(np.bincount(fold)) < 40
    alone = np.bincount(folds_of(np.arange(102), 4, np.random.default_rng(7)))
    assert sorted(alone) == [25, 25, 26, 26]
    # Outcomes that are nothing but the cluster's own cannot be foretold from a column that names it.
    own = np.random.default_rng(8).normal(size=25)[codes]
    foretold = cross_fit({"y": own}, own, codes[:, None] * 1.0, codes, QUICK, 4, np.random.default_rng(9))
    assert np.corrcoef(foretold.outcome["y"], own)[0, 1] < 0.5


# ── the simulated shop ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def shop():
    """A simulated log and test with their settings and the truth."""
    sizes = {"observational": 8000, "randomised": 4000, "cutoff": 500, "panel": 500}
    simulation = simulate(sizes, np.random.default_rng(2026))
    barred = tuple(str(simulation.truth["post_treatment"]).split(","))
    features = tuple(
        str(name) for name in simulation.tables["randomised"] if name not in (*barred, "sales", "discount", "profit")
    )
    frames = {
        role: simulation.tables[role].assign(row=np.arange(sizes[role])) for role in ("observational", "randomised")
    }
    for frame in frames.values():
        frame["gender"] = frame["gender"].astype("string")
    settings = Settings(nuisance=Boosting(trees=80, leaves=15, min_leaf=30), forest=Forest(60, 30, 0.45))
    return frames, features, barred, settings, simulation.truth


def tables_of(frames, features, barred):
    predictions = ("sales_prediction", "sales_prediction_bins")
    log = Table("observational", in_order_of_content(frames["observational"]), features, predictions, barred)
    return log, Table("randomised", in_order_of_content(frames["randomised"]), features, (), barred)


@pytest.fixture(scope="module")
def shop_effects(shop):
    frames, features, barred, settings, _ = shop
    log, test = tables_of(frames, features, barred)
    return log, effect.effects_of_log(log, settings, np.random.default_rng(1)), effect.effects_of_test(test, settings)


def test_every_estimate_of_the_simulated_shop_is_near_its_own_truth(shop, shop_effects):
    _, of_log, of_test = shop_effects
    table = effect.effects_table(of_log, of_test, shop[-1])
    known = table.dropna(subset="truth")
    assert set(known["name"]) == set(effect.TRUTHS)
    off = (known["estimate"] - known["truth"]).abs() / known["error"]
    assert (off < 4).all(), known.assign(off=off)
    profit = table[table["outcome"] == "profit"].set_index("name")
    assert profit.loc["naive", "ci_low"] > 0 > profit.loc["linear_dml", "ci_high"]
    assert profit.loc["contaminated", "ci_high"] < profit.loc["randomised", "estimate"]


def test_permuting_rows_changes_no_estimate(shop, shop_effects):
    frames, features, barred, settings, _ = shop
    rng = np.random.default_rng(3)
    shuffled = {role: frame.iloc[rng.permutation(len(frame))].reset_index(drop=True) for role, frame in frames.items()}
    log, test = tables_of(shuffled, features, barred)
    again = effect.effects_of_log(log, settings, np.random.default_rng(1))
    _, of_log, of_test = shop_effects
    pd.testing.assert_frame_equal(
        effect.effects_table(again, effect.effects_of_test(test, settings), {}),
        effect.effects_table(of_log, of_test, {}),
        rtol=1e-12,
    )


def test_metrics_are_flat_numbers_and_the_story_is_told(shop, shop_effects):
    _, _, _, settings, truth = shop
    log, of_log, of_test = shop_effects
    document = effect.metrics(of_log, of_test, log, settings, truth)
    text = json.dumps(document, allow_nan=False)
    assert "null" not in text
    assert "[" not in text
    profit = document["profit"]
    assert profit["linear_dml_truth"] == truth["slope_profit_log"]
    assert profit["fwl"]["adjusted_all"]["equals_multiple_regression"]
    sensitivity = profit["sensitivity"]
    assert 0 < sensitivity["regression"]["robustness_value_interval"] < sensitivity["regression"]["robustness_value"]
    strongest = sensitivity["as_strong_as"]
    assert strongest["double_ml_ci_low"] < strongest["double_ml_low"] < profit["linear_dml"]
    without = effect.metrics(of_log, {}, log, settings, {})
    assert "randomised" not in without["profit"]
    assert "linear_dml_truth" not in without["profit"]
    # Columns may be called as they like: each rung is an entry of its own.
    assert set(profit["ladder"]) == set(profit["fwl"]) - {"adjusted_all"}
    for rung, numbers in profit["ladder"].items():
        assert numbers["effect"] == pytest.approx(profit["fwl"][rung]["effect"])
    for name in ("naive", "adjusted_all", "linear_dml", "randomised"):
        assert profit[f"{name}_ci_low"] < profit[name] < profit[f"{name}_ci_high"]


def test_tables_to_draw_hold_what_the_figures_need(shop, shop_effects):
    frames, features, barred, settings, _ = shop
    log, of_log, _ = shop_effects
    _, test = tables_of(frames, features, barred)
    drawn = effect.confounding_table(log, test)
    assert set(drawn["table"]) == {"observational", "randomised"}
    points = drawn[drawn["kind"] == "mean"]
    assert points.groupby("table")["customers"].sum().to_dict() == {"observational": 8000, "randomised": 4000}
    line = drawn[(drawn["kind"] == "line") & (drawn["table"] == "observational")]
    rise = np.diff(line["mean"])[0] / np.diff(line["dose"])[0]
    assert rise == pytest.approx(of_log["profit"].regressions["naive"].robust.estimate, rel=1e-9)
    steps = effect.fwl_table(log, of_log["profit"].steps["adjusted_all"])
    assert steps.groupby("step")["slope"].first()["after"] == pytest.approx(
        of_log["profit"].regressions["adjusted_all"].robust.estimate, rel=1e-8
    )
    strengths = effect.sensitivity_table(
        log.outcome("profit"),
        log.dose,
        effect.controls_of_log(log, settings),
        of_log["profit"].regressions["adjusted_all"],
    )
    assert set(strengths["kind"]) == {"grid", "control"}


def test_bins_hold_about_equal_numbers_and_a_common_dose_has_its_own():
    dose = np.concatenate([np.zeros(300), np.linspace(1, 100, 700)])
    table = effect.binned(dose, dose * 2, bins=10)
    assert table["customers"].sum() == 1000
    assert table["customers"].iloc[0] == 300
    assert table["dose"].iloc[0] == 0
    assert table["customers"].iloc[1:].between(90, 110).all()
    np.testing.assert_allclose(table["mean"], 2 * table["dose"])


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_level_only_is_refused():
    frame = pd.DataFrame({"discount": [5.0] * 4, "sales": [1.0, 2, 3, 4], "profit": [1.0, 2, 3, 4]})
    with pytest.raises(InputError, match=r"the observational table: every discount is 5; expected two levels"):
        Table("observational", frame, ())


def test_columns_that_cannot_be_controlled_for_are_refused(shop):
    frames, features, barred, *_ = shop
    log, _ = tables_of(frames, features, barred)
    with pytest.raises(InputError, match="was measured after the discount"):
        effect.effects_of_log(log, Settings(ladder=(barred[0],)), np.random.default_rng(0))
    with pytest.raises(InputError, match="no column 'wealth' to control for"):
        effect.effects_of_log(log, Settings(ladder=("wealth",)), np.random.default_rng(0))
    with pytest.raises(InputError, match="has no column 'household'"):
        effect.effects_of_log(log, Settings(cluster="household"), np.random.default_rng(0))


def test_a_discount_that_controls_decide_is_refused(logged):
    exact = logged.assign(dose=2 * logged["x"])
    with pytest.raises(InputError, match="explains every discount"):
        slope(numbers(exact, "y"), numbers(exact, "dose"), Controls.of(exact, ["x"]).matrix)
    with pytest.raises(InputError, match="predicts every discount"):
        linear_dml(numbers(exact, "y"), numbers(exact, "dose"), numbers(exact, "y") * 0, numbers(exact, "dose"), None)


def test_fewer_clusters_than_folds_are_refused():
    with pytest.raises(InputError, match="3 clusters cannot be parted into 5 folds"):
        folds_of(np.array([0, 1, 2, 2]), 5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ladder": "age"}, "ladder: expected a list of columns"),
        ({"ladder": ["age", "age"]}, "'age' stands there twice"),
        ({"cluster": 3}, "cluster: expected the name of a column"),
        ({"folds": 1}, "folds: expected a whole number of 2 or more"),
        ({"threshold": -1}, "threshold: expected 0 or more"),
        ({"nuisance": {"tree": 5}}, "nuisance.tree is unknown"),
        ({"forest": {"trees": 42, "min_leaf": 5, "row_share": 0.4}}, "multiple of 4"),
        ({"forest": {"trees": 40, "min_leaf": 5, "row_share": 0.6}}, "below 0.5"),
        ({"speed": 1}, "speed is unknown"),
    ],
)
def test_parameters_are_checked(changed, message):
    with pytest.raises(InputError, match=message):
        Settings.from_params(PARAMS | changed)


def test_parameters_are_read():
    found = Settings.from_params(PARAMS | {"cluster": None, "ladder": []})
    assert found.ladder == ()
    assert found.cluster == ""
    assert found.forest == Forest(40, 20, 0.4)


def test_without_a_log_the_stage_says_so_in_one_line_and_writes_nothing(tmp_path):
    folder = tmp_path / "data" / "discount"
    folder.mkdir(parents=True)
    roles = {"source": "files", "simulated": False, "margins": {}, "features": [], "predictions": [],
             "barred": [], "tables": dict.fromkeys(("observational", "randomised", "cutoff", "panel"), 0)}  # fmt: skip
    (folder / "roles.json").write_text(json.dumps(roles))
    (folder / "truth.json").write_text("{}")
    (tmp_path / "params.yaml").write_text(json.dumps({"seed": 1, "discount": {"margin": None, "effect": PARAMS}}))
    ended = subprocess.run(
        [sys.executable, str(SOURCE / "discount_effect.py")],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: discount: there is no observational table")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "metrics").exists()
    assert not (tmp_path / "plots").exists()
