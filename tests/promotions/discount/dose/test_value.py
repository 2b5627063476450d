"""The value of doses: means of those who got them, intervals that cover, and the four real files."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotions.base.errors import InputError
from promotions.boosting.settings import Boosting
from promotions.discount.dose.choice import Menu, champion_of, decide, expected_curve, make_menu
from promotions.discount.dose.choice import Settings as PolicySettings
from promotions.discount.dose.value import (
    Settings,
    Truth,
    evaluate_doses,
    headline,
    levels_given,
    outcome_at_levels,
    policy_metrics,
    rule_of,
    true_profits,
)
from promotions.discount.response.curves import Settings as ResponseSettings
from promotions.discount.response.curves import design_levels, learn_responses
from promotions.discount.rules import RuleValue
from promotions.discount.scores import DoseScores
from promotions.inference.estimates import Estimate

SEEDS = st.integers(0, 2**32 - 1)
LEVELS = np.array([0.0, 10, 20, 50, 60])
DESIGN = np.array([0.35, 0.25, 0.2, 0.12, 0.08])
GROUPS = [[0], [1], [2], [3, 4]]


def draw_dosed(rng, n):
    """Profit is U-shaped in the dose for most; the largest doses pay for those with large x."""
    x = rng.normal(size=n)
    expected = np.column_stack([50 + 5 * x - 0.3 * level + 0.25 * level * np.maximum(x, 0) for level in LEVELS])
    level = rng.choice(len(LEVELS), n, p=DESIGN)
    profit = expected[np.arange(n), level] + rng.normal(0, 8 + 4 * (x > 0), n)
    return x, expected, level, profit


def draw_scores(seed, n=80):
    rng = np.random.default_rng(seed)
    x, expected, level, profit = draw_dosed(rng, n)
    level[: len(LEVELS)] = np.arange(len(LEVELS))
    share = np.bincount(level, minlength=len(LEVELS)) / n
    scores = DoseScores(share, level, profit, expected + rng.normal(0, 5, expected.shape))
    return x, scores, menu_of(share)


def menu_of(share):
    members = np.zeros((len(GROUPS), len(LEVELS)), dtype=bool)
    for place, group in enumerate(GROUPS):
        members[place, group] = True
    return Menu(LEVELS, share, members, np.ones(len(GROUPS), bool))


def draw_doses(x, menu):
    doses = {f"constant_{label:g}": np.full(len(x), label) for label in menu.labels}
    return pd.DataFrame(doses | {"best.rule": np.where(x > 1, 50.0, np.where(x > 0.5, 10.0, 0.0))})


def evaluate(x, scores, menu, supported=None, seed=3):
    everything = np.ones(scores.model.shape, dtype=bool) if supported is None else supported
    return evaluate_doses(draw_doses(x, menu), menu, everything, scores, np.random.default_rng(seed), 200)


@given(SEEDS)
def test_a_constant_is_worth_the_mean_of_those_who_got_it_with_the_error_of_that_mean(seed):
    x, scores, menu = draw_scores(seed)
    values = evaluate(x, scores, menu)
    for place, label in enumerate(menu.labels):
        seen = scores.profit[menu.members[place][scores.level]]
        value = values[f"constant_{label:g}"]
        assert value.ips.value == pytest.approx(seen.mean())
        assert value.snips == pytest.approx(seen.mean())
        assert value.effective_customers == pytest.approx(len(seen))
        # The sum of squares over the dose's own customers, whose number the lot decided.
        error = np.sqrt(80 / 79 * ((seen - seen.mean()) ** 2).sum()) / len(seen)
        assert value.ips.ci_high - value.ips.value == pytest.approx(1.959964 * error, rel=1e-5)


@given(SEEDS)
def test_a_model_that_is_right_leaves_no_error_but_that_of_the_customers_drawn(seed):
    x, scores, menu = draw_scores(seed)
    exact = DoseScores(scores.share, scores.level, scores.model[np.arange(80), scores.level], scores.model)
    values = evaluate(x, exact, menu)
    for place, label in enumerate(menu.labels):
        mean = scores.model[:, menu.members[place]] @ scores.share[menu.members[place]]
        assert values[f"constant_{label:g}"].dr.value == pytest.approx(
            mean.mean() / scores.share[menu.members[place]].sum()
        )


@given(SEEDS, st.floats(-100, 100), st.floats(0.1, 10))
def test_values_and_intervals_follow_the_unit_of_money(seed, shift, scale):
    x, scores, menu = draw_scores(seed)
    moved = DoseScores(scores.share, scores.level, shift + scale * scores.profit, shift + scale * scores.model)
    before, after = evaluate(x, scores, menu)["best.rule"], evaluate(x, moved, menu)["best.rule"]
    for name in ("value", "ci_low", "ci_high"):
        dr = shift + scale * getattr(before.dr, name)
        assert getattr(after.dr, name) == pytest.approx(dr, rel=1e-6, abs=1e-6)
        lead = scale * getattr(before.versus_best_constant, name)
        assert getattr(after.versus_best_constant, name) == pytest.approx(lead, rel=1e-6, abs=1e-6)


@given(SEEDS)
@settings(max_examples=30)
def test_the_order_of_customers_changes_nothing(seed):
    x, scores, menu = draw_scores(seed)
    supported = np.random.default_rng(seed).random(scores.model.shape) < 0.7
    order = np.random.default_rng([seed, 1]).permutation(80)
    before, after = (
        evaluate(x, scores, menu, supported),
        evaluate(x[order], scores.rows(order), menu, supported[order]),
    )
    oracle = 60.0
    truth = dict.fromkeys(before, 55.0)
    assert policy_metrics(after, truth, oracle)["best.rule"] == pytest.approx(
        policy_metrics(before, truth, oracle)["best.rule"], rel=1e-9, abs=1e-9
    )


@given(SEEDS)
def test_a_rule_leads_itself_by_nothing_and_the_best_constant_by_the_least(seed):
    x, scores, menu = draw_scores(seed)
    values = evaluate(x, scores, menu)
    assert values["constant_0"].versus_none == Estimate(0, 0, 0, 0)
    rule = values["best.rule"]
    best = max((f"constant_{label:g}" for label in menu.labels), key=lambda name: values[name].dr.value)
    assert rule.best_constant == best
    lead = rule.versus_best_constant
    assert lead.value == pytest.approx(rule.dr.value - values[best].dr.value)
    assert lead.ci_low == min(each.ci_low for each in rule.versus_constants.values())
    assert rule.p_best_constant == max(rule.p_constants.values())
    assert (rule.p_best_constant < 0.025) == (lead.ci_low > 0)


@given(SEEDS)
def test_levels_that_the_log_does_not_support_are_not_given_by_a_rule(seed):
    x, scores, menu = draw_scores(seed)
    supported = np.ones(scores.model.shape, dtype=bool)
    supported[:, 4] = False
    doses = draw_doses(x, menu)["best.rule"].to_numpy()
    by_rule = levels_given("best.rule", doses, menu, supported)
    # Level 60 is the rarer of the two unless the draw was odd: then it stays, as half of the dose would be missing.
    rare = scores.share[4] <= scores.share[3]
    assert by_rule[:, 4].any() == (not rare and (doses == 50).any())
    assert levels_given("constant_50", np.full(80, 50.0), menu, supported)[:, 4].all()


def test_the_shares_that_are_counted_on_the_same_customers_are_part_of_the_error():
    """The influence function against the bootstrap, which counts the shares afresh in each sample."""
    x, scores, menu = draw_scores(11, n=600)
    doses = draw_doses(x, menu)["best.rule"].to_numpy()
    supported = np.random.default_rng(1).random(scores.model.shape) < 0.8
    given_levels = levels_given("best.rule", doses, menu, supported)
    rng, resampled = np.random.default_rng(2), []
    for _ in range(800):
        rows = rng.integers(600, size=600)
        share = np.bincount(scores.level[rows], minlength=5) / 600
        again = [DoseScores(share, part.level[rows], part.profit[rows], part.model[rows])
                 for part in (scores, scores.without_model())]  # fmt: skip
        resampled.append([part.value(given_levels[rows])[0] for part in again])
    for column, part in enumerate((scores, scores.without_model())):
        error = np.sqrt((part.value(given_levels)[1] ** 2).sum())
        # Of 800 samples a standard deviation errs by 2.5 %.
        assert np.std(np.array(resampled)[:, column]) == pytest.approx(error, rel=0.1)


def test_intervals_of_values_and_of_leads_cover_at_their_rate():
    rng = np.random.default_rng(12)
    x, expected, _, _ = draw_dosed(rng, 200_000)
    menu, truth = menu_of(DESIGN), Truth(expected)
    doses = draw_doses(x, menu)
    everything = np.ones(expected.shape, dtype=bool)
    # By place: what a dose of several levels is called depends on who got them.
    true = [truth.of(levels_given(name, doses[name].to_numpy(), menu, everything), DESIGN) for name in doses]
    rule_value, lead = true[-1], true[-1] - max(true[:-1])
    hits, runs = np.zeros(5), 400
    for _ in range(runs):
        x, expected, level, profit = draw_dosed(rng, 800)
        # A model that is wrong: doubly robust scores do not mind.
        scores = DoseScores(np.bincount(level, minlength=5) / 800, level, profit, 0.8 * expected + 3)
        values = list(evaluate(x, scores, menu_of(scores.share)).values())
        rule, none = values[-1], true[0]
        hits += [
            rule.dr.ci_low <= rule_value <= rule.dr.ci_high,
            rule.ips.ci_low <= rule_value <= rule.ips.ci_high,
            rule.versus_none.ci_low <= rule_value - none <= rule.versus_none.ci_high,
            rule.versus_best_constant.ci_low <= lead,
            all(
                value.simultaneous.ci_low <= each <= value.simultaneous.ci_high
                for value, each in zip(values, true, strict=True)
            ),
        ]
    share = hits / runs
    # Monte Carlo error of 400 runs at 95 %: 1.1 %. The bound against every constant may only be too cautious.
    np.testing.assert_allclose(share[[0, 1, 2, 4]], 0.95, atol=0.035)
    assert share[3] >= 0.975 - 0.025


def test_the_truth_judges_rules_and_knows_their_oracle():
    share = np.array([0.5, 0.2, 0.3])
    menu = Menu(np.array([0.0, 10, 20]), share, np.array([[1, 0, 0], [0, 1, 1]], dtype=bool), np.array([True, True]))
    frame = pd.DataFrame({"row": [1, 0], "sales_0": [1000, 1000], "sales_10": [1500.0, 1100], "sales_20": [1600, 2000]})
    truth = Truth.from_frame(frame, np.array([0, 1]), menu.levels, 0.05)
    np.testing.assert_allclose(truth.profit, [[50, 45, 80], [50, 65, 60]])
    doses = pd.DataFrame({"constant_0": [0.0, 0.0], "best.rule": [20.0, 20.0]})
    supported = np.array([[True, True, True], [True, False, True]])
    true = true_profits(doses, menu, supported, truth)
    assert true["constant_0"] == 50
    # The first customer gets 10 and 20 as two to three, the second 20 alone.
    assert true["best.rule"] == pytest.approx(((0.4 * 45 + 0.6 * 80) + 60) / 2)
    assert truth.oracle(menu) == (80 + 65) / 2
    assert true_profits(doses, menu, supported, None) == {}
    assert Truth.from_frame(frame.iloc[:0], np.array([0, 1]), menu.levels, 0.05) is None
    with pytest.raises(InputError, match="no column 'sales_30'"):
        Truth.from_frame(frame, np.array([0, 1]), np.array([0.0, 30.0]), 0.05)


def test_metrics_are_flat_and_say_what_is_known():
    x, scores, menu = draw_scores(13)
    values = evaluate(x, scores, menu)
    known = policy_metrics(values, dict.fromkeys(values, 54.0), 60.0)
    assert known["best.rule"]["regret"] == 6
    unknown = policy_metrics(values, {}, None)["best.rule"]
    assert "regret" not in unknown
    told = headline("best.rule", values["best.rule"], 80, None, None, menu)
    for number in (*unknown.values(), *told.values()):
        assert isinstance(number, (int, float, str))
        assert number == number
    assert told["lift_over_no_discount"] == values["best.rule"].versus_none.value
    assert told["best_constant"] == values["best.rule"].best_constant


def test_without_a_level_of_no_discount_there_is_no_lift_over_it():
    _, scores, _ = draw_scores(14)
    levels = LEVELS + 5
    menu = Menu(levels, scores.share, menu_of(scores.share).members, np.ones(4, bool))
    doses = pd.DataFrame({f"constant_{label:g}": np.full(80, label) for label in menu.labels})
    values = evaluate_doses(doses, menu, np.ones(scores.model.shape, bool), scores, np.random.default_rng(1), 100)
    value: RuleValue = values["constant_5"]
    assert value.versus_none is None
    assert not any("no_discount" in name for name in policy_metrics(values, {}, None)["constant_5"])
    assert not any("no_discount" in name for name in headline("constant_5", value, 80, None, None, menu))


def test_rules_are_told_by_their_names():
    names = ("constant_0", "best.a", "pessimistic.b", "budget.c")
    assert [rule_of(name) for name in names] == ["constant", "best", "pessimistic", "budget"]


def test_outcome_models_have_not_seen_the_customer_and_do_not_know_the_order_of_rows():
    rng = np.random.default_rng(15)

    def table(n):
        x = rng.normal(size=n)
        dose = rng.choice([0.0, 10, 20], n)
        return pd.DataFrame({"x": x, "discount": dose, "sales": 100 + 20 * x + 3 * dose + rng.normal(0, 5, n)})

    log, drawn = table(600), table(400)
    boosting = Boosting(trees=60, leaves=6, learning_rate=0.1, min_leaf=20, feature_share=1.0)

    def predict(log, drawn, threads=1):
        return outcome_at_levels(
            log, drawn, ["x"], np.array([0.0, 10, 20]), boosting, 4, np.random.default_rng(1), threads
        )

    found = predict(log, drawn)
    assert np.corrcoef(found[:, 0], 100 + 20 * drawn["x"])[0, 1] > 0.95
    assert (found[:, 2] - found[:, 0]).mean() == pytest.approx(60, abs=6)
    order = rng.permutation(400)
    shuffled = predict(log.sample(frac=1, random_state=1), drawn.iloc[order], threads=2)
    np.testing.assert_allclose(shuffled, found[order], rtol=1e-9)
    # A customer's own sales move the predictions of others, never its own.
    odd = drawn.copy()
    odd.loc[0, "sales"] = drawn.loc[0, "sales"] + 1e-7
    np.testing.assert_allclose(predict(log, odd)[0], found[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds: expected a whole number of 2 or more"),
        ({"replicates": 10}, "replicates: expected a whole number of 100 or more"),
        ({"outcome": {"depth": 3}}, "discount.evaluate.outcome.depth is unknown"),
        ({"margin": 1}, "discount.evaluate.margin is unknown"),
    ],
)
def test_a_setting_that_is_out_of_range_is_named(change, message):
    with pytest.raises(InputError, match=message):
        Settings.from_params({"outcome": {}, "folds": 5, "replicates": 1000} | change)


# Measured after the discount: they hang together with it in the randomised table.
BARRED = {
    *(f"spend_{month}m_groceries" for month in range(3, 7)),
    *(f"spend_{month}m_clothes" for month in range(2, 7)),
    "spend_6m_baby",
}
PREDICTIONS = ["sales_prediction", "sales_prediction_bins"]
BOOSTING = {"trees": 100, "leaves": 8, "learning_rate": 0.1, "min_leaf": 40, "feature_share": 0.8, "row_share": 0.7}
RESPONSE = {
    "folds": 3,
    "groups": 3,
    "most_knots": 40,
    "monotone": True,
    "outside": 0.2,
    "support": {"share": 0.01, "customers": 10},
    "sales": BOOSTING,
    "dose": BOOSTING | {"trees": 40},
}
LEARNERS = {
    "r_learner": {"effect": BOOSTING | {"trees": 80, "leaves": 4, "min_leaf": 500}},
    "causal_forest": {"trees": 24, "min_leaf": 40, "row_share": 0.3},
}
POLICY = {"champion": "auto", "least_customers": 250, "default": 0, "min_gain": 0, "caution": 0.9, "budget": None}


@pytest.fixture(scope="module")
def real_values(real_tables):
    """Rules learned from the non-random file alone, and what they earn on the whole randomised one."""
    log, drawn = real_tables["observational"], real_tables["randomised"]
    features = [name for name in drawn if name not in {"sales", "discount", "profit"} | BARRED]
    levels = design_levels(drawn["discount"].to_numpy())
    target = drawn[features]
    found = learn_responses(
        log, target, levels, features, PREDICTIONS, LEARNERS, ResponseSettings.from_params(RESPONSE),
        np.random.default_rng(2026), 2,
    )  # fmt: skip
    curves, policy = found.curves, PolicySettings.from_params(POLICY)
    customers = np.unique(drawn["discount"], return_counts=True)[1]
    menu = make_menu(levels, customers, expected_curve(curves, found.best, 0.05), policy.least_customers)
    doses = decide(curves, menu, 0.05, policy, np.arange(len(drawn)))
    champion = champion_of(doses.columns, policy, found.best)
    # Reported beside it: the hand-made rule, judged in the same way.
    top = menu.labels[-1]
    doses["best.by_hand"] = np.where(drawn["age"] > 40, top, 0.0)
    sales = outcome_at_levels(
        log, drawn, features, levels, Boosting(trees=100, leaves=12, learning_rate=0.1, min_leaf=30), 3,
        np.random.default_rng(1), 2,
    )  # fmt: skip
    level = np.searchsorted(levels, drawn["discount"].to_numpy())
    scores = DoseScores(menu.share, level, drawn["profit"].to_numpy(float), 0.05 * sales - levels)
    values = evaluate_doses(doses, menu, curves.supported, scores, np.random.default_rng(2), 1000)
    return found, menu, champion, doses, values


def test_real_rules_learned_from_the_log_alone_beat_the_best_constant_on_the_whole_randomised_file(real_values):
    _, menu, champion, _, values = real_values
    value = values[champion]
    assert value.versus_best_constant.ci_low > 0
    assert value.versus_none.ci_low > 0
    # Every dose that the log has stands for 5 % of the customers or more, and each is beaten.
    assert len(value.versus_constants) == len(menu.members) >= 8
    assert all(lead.ci_low > 0 for lead in value.versus_constants.values())
    # A hand-made rule, 100 and more for customers over 40, earns about 2.1 over no discount.
    assert value.versus_none.value > 2.1
    assert value.dr.value > values["best.by_hand"].dr.value


def test_real_rules_know_what_the_two_files_do_not_share(real_values):
    found, menu, champion, doses, _ = real_values
    assert list(found.left_out) == ["tenure"]
    assert found.curves.levels[found.curves.supported.any(axis=0)].max() <= 170
    # The bottom of the U, 60 to 100, is given to next to nobody.
    assert doses[champion].between(30, 100).mean() < 0.02
    assert menu.labels[-1] > 100
