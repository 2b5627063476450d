"""The simulated experiment looks like X5 RetailHero, and its truth is what it says."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from promotions.customers import validate
from promotions.errors import InputError
from promotions.sources import simulated
from promotions.sources.simulated import Floats

SIZE = 60_000
# Mean and SD of X5's control group in the earlier study; the SD of age is that of the ages without outliers.
CONTROL_MARGINALS = {
    "age": (46.46, 16.0),
    "avg_paid_per_order": (494.55, 371.18),
    "avg_netto_per_order": (3.10, 2.65),
    "avg_regular_points_received_per_order": (4.58, 4.79),
    "express_points_received_per_order": (0.04, 0.49),
    "express_points_spent_per_order": (-0.66, 2.61),
    "avg_trademarks_per_order": (0.97, 0.77),
    "avg_alcohol_products_per_order": (0.10, 0.21),
    "brand_score": (0.43, 0.06),
    "fis_frd_dist": (224.39, 199.67),
    "fis_transformed": (728.46, 162.14),
    "frd_transformed": (504.07, 244.63),
    "is_weekend": (1.81, 1.80),
}
SHARES = ["night_share", "morning_share", "afternoon_share", "evening_share"]


def draw(size: int = SIZE, seed: int = 7) -> dict[str, pd.DataFrame]:
    return simulated.load({"customers": size}, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return draw()


@pytest.fixture(scope="module")
def customers(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["customers"]


@pytest.fixture(scope="module")
def truth(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["truth"]


def arms(customers: pd.DataFrame) -> tuple[Floats, Floats]:
    """Response rates of control and treated, and their standard errors."""
    targets = customers.groupby("treatment_flg")["target"]
    return np.asarray(targets.mean(), np.float64), np.asarray(targets.sem(), np.float64)


def effect(features: pd.DataFrame) -> Floats:
    untreated, treated = simulated.response_probabilities(features)
    return treated - untreated


@pytest.mark.parametrize("feature", CONTROL_MARGINALS)
def test_control_marginals_match_the_study(customers: pd.DataFrame, feature: str) -> None:
    mean, sd = CONTROL_MARGINALS[feature]
    control = customers.loc[customers["treatment_flg"] == 0, feature].dropna()
    tolerance = max(0.03 * abs(mean), 2 * sd / np.sqrt(len(control)))
    assert control.mean() == pytest.approx(mean, abs=tolerance)
    assert control.std() == pytest.approx(sd, rel=0.10)


def test_gender_shares_match_the_study(customers: pd.DataFrame) -> None:
    shares = customers["gender"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"F": 0.38, "M": 0.16, "U": 0.46}, abs=0.01)


def test_arm_rates_match_the_labels_up_to_sampling_error(customers: pd.DataFrame) -> None:
    rates, errors = arms(customers)
    assert (np.abs(rates - [0.603280, 0.636511]) < 3 * errors).all()
    assert customers["treatment_flg"].mean() == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(SIZE))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mean_effect_is_that_of_the_labels_at_every_seed(seed: int) -> None:
    truth = draw(20_000, seed)["truth"]
    assert truth["tau"].mean() == pytest.approx(0.0332, abs=0.002)
    assert truth["mu0"].mean() == pytest.approx(0.6033, abs=0.006)


@pytest.mark.parametrize(("share", "gain"), [(0.08, 0.10), (0.16, 0.08), (0.32, 0.06)])
def test_the_best_customers_gain_as_in_the_study(truth: pd.DataFrame, share: float, gain: float) -> None:
    best = truth["tau"].nlargest(int(share * len(truth)))
    assert best.mean() == pytest.approx(gain, abs=0.005)


def test_some_customers_are_harmed_and_all_probabilities_are_inside_the_bounds(truth: pd.DataFrame) -> None:
    assert 0.03 < (truth["tau"] < 0).mean() < 0.20
    for probability in (truth["mu0"], truth["mu0"] + truth["tau"]):
        assert probability.between(0.005, 0.995, inclusive="neither").all()


def test_probabilities_stay_inside_the_bounds_for_the_most_extreme_customers(customers: pd.DataFrame) -> None:
    extremes = customers.head(4).assign(
        age=[14.0, 94.0, np.nan, 94.0],
        n_orders=[1, 100_000, 1, 1],
        is_weekend=[0, 100_000, 0, 0],
        regular_points_spent_per_order=[0.0, -1e9, 0.0, -1e9],
        express_points_spent_per_order=[-1e9, 0.0, 0.0, 0.0],
        products_per_order=[1.0, 1e9, 1.0, 1e9],
        gender=["M", "F", "U", "F"],
        fis_transformed=[260.0, 974.0, 974.0, 260.0],
        frd_transformed=[np.nan, 974.0, np.nan, 1.0],
    )
    for probability in simulated.response_probabilities(extremes):
        assert ((probability > 0.005) & (probability < 0.995)).all()


def test_the_truth_is_a_function_of_the_observed_features_alone(customers: pd.DataFrame, truth: pd.DataFrame) -> None:
    some = customers.sample(2_000, random_state=1)
    untreated, treated = simulated.response_probabilities(some)
    np.testing.assert_allclose(untreated, truth.loc[some.index, "mu0"], rtol=1e-12)
    np.testing.assert_allclose(treated - untreated, truth.loc[some.index, "tau"], rtol=0, atol=1e-12)


def test_outcomes_follow_the_truth_among_those_who_gain_most_and_least(
    customers: pd.DataFrame, truth: pd.DataFrame
) -> None:
    fifths = pd.qcut(truth["tau"], 5, labels=False)
    for fifth in (0, 4):
        rows = customers[fifths == fifth]
        rates, errors = arms(rows)
        expected = truth.loc[rows.index, "tau"].mean()
        assert abs(rates[1] - rates[0] - expected) < 3 * np.hypot(*errors)


def test_the_baseline_ranks_responders_as_well_as_in_real_data(customers: pd.DataFrame, truth: pd.DataFrame) -> None:
    control = customers["treatment_flg"] == 0
    ranks, responds = truth.loc[control, "mu0"].rank(), customers.loc[control, "target"] == 1
    wins = ranks[responds].sum() - responds.sum() * (responds.sum() + 1) / 2
    assert wins / (responds.sum() * (~responds).sum()) == pytest.approx(0.75, abs=0.02)


def test_spending_more_express_points_lowers_the_effect(customers: pd.DataFrame) -> None:
    spent = customers["express_points_spent_per_order"]
    lowered = effect(customers.assign(express_points_spent_per_order=spent - 1.0)) - effect(customers)
    assert (lowered <= 0).all()
    assert (lowered[spent > -10] < 0).all()  # beyond that nothing is left to lose
    assert np.corrcoef(spent, effect(customers))[0, 1] > 0.1


def test_being_older_raises_every_effect(customers: pd.DataFrame) -> None:
    known = customers.dropna(subset=["age"])
    assert (effect(known.assign(age=known["age"] + 5)) > effect(known)).all()
    assert np.corrcoef(known["age"], effect(known))[0, 1] > 0.3


def test_features_depend_on_treatment_no_more_than_chance(customers: pd.DataFrame) -> None:
    features = customers.drop(columns=["client_id", "target"]).select_dtypes("number")
    treated = features.pop("treatment_flg") == 1
    difference = (features[treated].mean() - features[~treated].mean()) / features.std()
    assert difference.abs().max() < 4 * 2 / np.sqrt(SIZE)


def test_frequency_and_spending_drive_the_features_together(customers: pd.DataFrame) -> None:
    for (first, second), least in {
        ("n_orders", "is_weekend"): 0.5,
        ("n_orders", "trn_sum_from_iss"): 0.5,
        ("avg_paid_per_order", "products_per_order"): 0.6,
        ("avg_paid_per_order", "avg_regular_points_received_per_order"): 0.8,
        ("avg_paid_per_order", "trn_sum_from_iss"): 0.4,
    }.items():
        assert customers[first].corr(customers[second], method="spearman") > least, (first, second)


def test_sums_shares_and_zeros_agree_with_each_other(customers: pd.DataFrame) -> None:
    assert customers[SHARES].sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert (customers["is_weekend"] <= customers["n_orders"]).all()
    assert (customers["avg_trademarks_per_order"] <= customers["products_per_order"]).all()
    assert (customers["trn_sum_from_red"] <= customers["trn_sum_from_iss"]).all()
    redeemed = customers.dropna(subset=["frd_transformed"])
    assert (redeemed["fis_transformed"] - redeemed["fis_frd_dist"]).to_numpy() == pytest.approx(
        redeemed["frd_transformed"].to_numpy()
    )
    never = customers["frd_transformed"].isna()
    assert never.equals(customers["fis_frd_dist"].isna())
    assert (customers.loc[never, ["regular_points_spent_per_order", "express_points_spent_per_order"]] == 0).all(
        axis=None
    )


def test_values_are_missing_where_they_are_in_real_data_and_nowhere_else(customers: pd.DataFrame) -> None:
    missing = customers.isna().mean()
    assert missing["frd_transformed"] == pytest.approx(0.10, abs=0.02)
    assert missing["age"] == pytest.approx(0.01, abs=0.005)
    assert set(missing[missing > 0].index) == {"age", "frd_transformed", "fis_frd_dist"}
    assert customers["age"].dropna().between(14, 95).all()


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again = draw(2_000), draw(2_000)
    for name, table in first.items():
        assert table.to_csv().encode() == again[name].to_csv().encode()


def test_another_seed_gives_other_customers() -> None:
    first, other = draw(2_000, 1)["customers"], draw(2_000, 2)["customers"]
    assert not set(first["client_id"]) & set(other["client_id"])
    assert not np.allclose(first["avg_paid_per_order"], other["avg_paid_per_order"])


def test_ids_are_unique_and_ten_hexadecimal_digits(customers: pd.DataFrame, truth: pd.DataFrame) -> None:
    assert customers["client_id"].is_unique
    assert customers["client_id"].str.fullmatch("[0-9a-f]{10}").all()
    assert customers["client_id"].equals(truth["customer_id"].rename("client_id"))


@pytest.mark.parametrize("order", ["row", "id"])
def test_neither_row_order_nor_id_order_tells_anything(
    customers: pd.DataFrame, truth: pd.DataFrame, order: str
) -> None:
    position = pd.Series(range(SIZE)) if order == "row" else customers["client_id"].rank()
    told = pd.concat([truth[["mu0", "tau"]], customers.select_dtypes("number")], axis=1)
    assert told.rank().corrwith(position).abs().max() < 4.5 / np.sqrt(SIZE)


def test_customers_keep_the_contract_and_are_labelled_simulated(tables: dict[str, pd.DataFrame]) -> None:
    experiment = simulated.to_customers(tables, {"customers": SIZE})
    assert experiment.simulated
    assert not {"tau", "mu0"} & set(experiment.frame)
    assert len(experiment.features) == 24
    assert experiment.frame["gender"].cat.categories.tolist() == ["F", "M", "U"]
    assert (experiment.frame["propensity"] == 0.5).all()
    checked = validate(experiment.frame)
    assert_frame_equal(
        checked, experiment.frame.sort_values("customer_id", ignore_index=True), check_dtype=False, check_like=True
    )


@pytest.mark.parametrize("size", [999, -5, 0, 60_000.0, "60000", None, True])
def test_a_size_that_is_no_integer_of_a_thousand_or_more_is_an_input_error(size: object) -> None:
    with pytest.raises(
        InputError, match=r"^data\.simulated\.customers: expected an integer of 1,000 or more, got [^\n]+$"
    ):
        simulated.load({"customers": size}, np.random.default_rng(1))


@pytest.mark.parametrize("params", [{}, {"custmers": 2_000}, {"customers": 2_000, "seed": 1}])
def test_a_missing_or_unknown_key_is_an_input_error_that_names_it(params: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^data\.simulated\.(customers is missing|seed is unknown); [^\n]+$"):
        simulated.load(params, np.random.default_rng(1))
