"""The simulated experiment looks like X5 RetailHero, and its truth is what it says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from benchmarks.pandas_features import study_features
from promotions.base.errors import InputError
from promotions.sources import simulated
from promotions.sources.simulated import CAMPAIGN_DATE, response_probabilities
from tests.support.x5_facts import CONTROL_MARGINALS, CONTROL_RATE, EFFECT, TREATED_RATE

Floats = NDArray[np.float64]

SIZE = 20_000
REAL_PRODUCTS = Path(__file__).parents[4] / "shared" / "data" / "x5" / "products.csv"

STRING, DOUBLE, FLAG, MOMENT = pa.string(), pa.float64(), pa.int8(), pa.timestamp("s")
POINTS = [f"{kind}_points_{moved}" for moved in ("received", "spent") for kind in ("regular", "express")]
SCHEMAS = {
    "products": {
        **dict.fromkeys(["product_id", "level_1", "level_2", "level_3", "level_4"], STRING),
        "segment_id": DOUBLE,
        **dict.fromkeys(["brand_id", "vendor_id"], STRING),
        "netto": DOUBLE,
        **dict.fromkeys(["is_own_trademark", "is_alcohol"], FLAG),
    },
    "clients": {
        "client_id": STRING,
        "first_issue_date": MOMENT,
        "first_redeem_date": MOMENT,
        "age": pa.int32(),
        "gender": STRING,
    },
    "purchases": {
        **dict.fromkeys(["client_id", "transaction_id"], STRING),
        "transaction_datetime": MOMENT,
        **dict.fromkeys([*POINTS, "purchase_sum"], DOUBLE),
        **dict.fromkeys(["store_id", "product_id"], STRING),
        **dict.fromkeys(["product_quantity", "trn_sum_from_iss", "trn_sum_from_red"], DOUBLE),
    },
    "uplift_train": {"client_id": STRING, "treatment_flg": FLAG, "target": FLAG},
    "truth": {"customer_id": STRING, "mu0": DOUBLE, "tau": DOUBLE},
}


@dataclass(frozen=True)
class Drawn:
    """One run: its pieces by table, and the features, labels and truth of each customer in the order of the run."""

    pieces: dict[str, list[pa.Table]]
    customers: pd.DataFrame

    def frame(self, name: str) -> pd.DataFrame:
        return pa.concat_tables(self.pieces[name]).to_pandas()

    @property
    def control(self) -> pd.DataFrame:
        return self.customers[self.customers["treatment_flg"] == 0]


def draw_pieces(size: int, seed: int) -> dict[str, list[pa.Table]]:
    pieces: dict[str, list[pa.Table]] = {}
    for name, piece in simulated.load({"customers": size}, np.random.default_rng(seed)):
        pieces.setdefault(name, []).append(piece)
    return pieces


def features_of(clients: pd.DataFrame, purchases: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """The features of the earlier study from raw rows, one row a customer in the order of ``clients``."""
    features = study_features(clients, products, purchases, CAMPAIGN_DATE).set_index("client_id")
    features = features.loc[clients["client_id"]].reset_index()
    rows = purchases.groupby("client_id").size()
    return features.assign(recorded_age=clients["age"], rows=rows[clients["client_id"]].to_numpy())


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    pieces = draw_pieces(SIZE, 7)
    products = pieces["products"][0].to_pandas()
    parts = []
    for clients, purchases, train, truth in zip(
        *(pieces[name] for name in ("clients", "purchases", "uplift_train", "truth")), strict=True
    ):
        features = features_of(clients.to_pandas(), purchases.to_pandas(), products)
        labels, told = train.to_pandas(), truth.to_pandas()
        parts.append(pd.concat([features, labels.drop(columns="client_id"), told.drop(columns="customer_id")], axis=1))
    return Drawn(pieces, pd.concat(parts, ignore_index=True))


@pytest.fixture(scope="module")
def customers(drawn: Drawn) -> pd.DataFrame:
    return drawn.customers


@pytest.fixture(scope="module")
def receipts(drawn: Drawn) -> pd.DataFrame:
    """Of the first ten thousand customers: what each receipt says, with sums over its rows."""
    rows = drawn.pieces["purchases"][0].to_pandas()
    groups = rows.groupby("transaction_id", sort=False)
    said = rows.drop_duplicates("transaction_id").set_index("transaction_id")
    sums = groups[["trn_sum_from_iss", "trn_sum_from_red"]].sum(min_count=1)
    return said.assign(issued=sums["trn_sum_from_iss"], redeemed=sums["trn_sum_from_red"], rows=groups.size())


def arms(customers: pd.DataFrame) -> tuple[Floats, Floats]:
    """Response rates of control and treated, and their standard errors."""
    targets = customers.groupby("treatment_flg")["target"]
    return np.asarray(targets.mean(), np.float64), np.asarray(targets.sem(), np.float64)


def effect(features: pd.DataFrame) -> Floats:
    untreated, treated = response_probabilities(features)
    return treated - untreated


def test_tables_have_the_columns_and_types_of_x5_in_every_piece(drawn: Drawn) -> None:
    assert list(drawn.pieces) == ["products", "clients", "purchases", "uplift_train", "truth"]
    for name, pieces in drawn.pieces.items():
        for piece in pieces:
            assert {field.name: field.type for field in piece.schema} == SCHEMAS[name]
            assert piece.schema.names == list(SCHEMAS[name])
            piece.validate(full=True)


def test_products_come_once_and_no_piece_is_large(drawn: Drawn) -> None:
    assert len(drawn.pieces["products"]) == 1
    assert len(drawn.pieces["purchases"]) > 1
    assert max(piece.num_rows for pieces in drawn.pieces.values() for piece in pieces) <= 1_600_000


def test_only_the_cells_that_x5_leaves_empty_are_empty(drawn: Drawn) -> None:
    empty = {
        (name, column)
        for name, pieces in drawn.pieces.items()
        for column in pieces[0].column_names
        if any(piece[column].null_count for piece in pieces)
    }
    assert empty == {
        ("products", "segment_id"),
        ("products", "brand_id"),
        ("clients", "first_redeem_date"),
        ("purchases", "trn_sum_from_red"),
    }


def test_ids_are_ten_hexadecimal_digits_and_unique_over_the_run(drawn: Drawn) -> None:
    clients = drawn.frame("clients")["client_id"]
    transactions = pd.concat(
        [piece.select(["client_id", "transaction_id"]).to_pandas() for piece in drawn.pieces["purchases"]]
    ).drop_duplicates()
    products = drawn.frame("products")["product_id"]
    for ids in (clients, products, transactions["transaction_id"]):
        assert ids.is_unique
        assert ids.str.fullmatch("[0-9a-f]{10}").all()
    assert set(transactions["client_id"]) == set(clients)


def test_every_customer_is_in_every_table(drawn: Drawn) -> None:
    clients = drawn.frame("clients")["client_id"]
    assert len(clients) == SIZE
    assert clients.equals(drawn.frame("uplift_train")["client_id"])
    assert clients.equals(drawn.frame("truth")["customer_id"].rename("client_id"))


@pytest.mark.parametrize("feature", CONTROL_MARGINALS)
def test_control_marginals_match_the_study(drawn: Drawn, feature: str) -> None:
    """Means to 3 %, SDs to 10 %, or three standard errors where points make the tails heavy."""
    mean, sd = CONTROL_MARGINALS[feature]
    control = drawn.control[feature].dropna()
    fourth = float(((control - control.mean()) ** 4).mean() / control.var() ** 2)
    assert control.mean() == pytest.approx(mean, abs=max(0.03 * abs(mean), 3 * sd / np.sqrt(len(control))))
    assert control.std() == pytest.approx(sd, rel=max(0.10, 3 * np.sqrt((fourth - 1) / 4 / len(control))))


def test_recorded_ages_have_the_outliers_of_the_study(customers: pd.DataFrame) -> None:
    recorded, known = customers["recorded_age"], customers["age"]
    assert recorded.mean() == pytest.approx(46.46, abs=max(1, 2 * 60.6 / np.sqrt(SIZE)))
    assert recorded.std() == pytest.approx(60.60, abs=10)
    assert known.isna().mean() == pytest.approx(0.012, abs=0.003)
    assert known.dropna().between(14, 95).all()
    wrong = recorded[known.isna()]
    assert (wrong < 0).any()
    assert (wrong > 700).any()
    assert wrong.between(0, 120).mean() > 0.7


def test_gender_shares_match_the_study(drawn: Drawn) -> None:
    shares = drawn.frame("clients")["gender"].value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx({"F": 0.38, "M": 0.16, "U": 0.46}, abs=0.012)


def test_customers_buy_as_many_products_as_in_the_log(customers: pd.DataFrame) -> None:
    assert customers["n_orders"].mean() == pytest.approx(18.5, rel=0.02)
    assert customers["rows"].mean() == pytest.approx(45_786_568 / 400_162, rel=0.02)
    assert customers["n_orders"].min() == 1


def test_quantities_are_mostly_one_and_zero_for_weighed_goods(drawn: Drawn) -> None:
    quantity = drawn.pieces["purchases"][0]["product_quantity"].to_numpy()
    assert quantity.mean() == pytest.approx(1.3, abs=0.02)
    assert (quantity == 0).mean() == pytest.approx(0.05, abs=0.01)
    assert (quantity == 1).mean() > 0.7
    assert (quantity == np.rint(quantity)).all()


def test_arm_rates_match_the_labels_up_to_sampling_error(customers: pd.DataFrame) -> None:
    rates, errors = arms(customers)
    assert (np.abs(rates - [CONTROL_RATE, TREATED_RATE]) < 3 * errors).all()
    assert abs(rates[1] - rates[0] - EFFECT) < 3 * np.hypot(*errors)
    assert customers["treatment_flg"].mean() == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(SIZE))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mean_effect_is_that_of_the_labels_at_every_seed(seed: int) -> None:
    truth = pa.concat_tables(draw_pieces(SIZE, seed)["truth"]).to_pandas()
    assert truth["tau"].mean() == pytest.approx(0.0332, abs=0.0015)
    assert truth["mu0"].mean() == pytest.approx(0.6033, abs=0.006)


@pytest.mark.parametrize(("share", "gain"), [(0.08, 0.10), (0.16, 0.08), (0.32, 0.06)])
def test_the_best_customers_gain_as_in_the_study(customers: pd.DataFrame, share: float, gain: float) -> None:
    best = customers["tau"].nlargest(int(share * len(customers)))
    assert best.mean() == pytest.approx(gain, abs=0.005)


def test_some_customers_are_harmed_and_all_probabilities_are_inside_the_bounds(customers: pd.DataFrame) -> None:
    assert 0.03 < (customers["tau"] < 0).mean() < 0.20
    for probability in (customers["mu0"], customers["mu0"] + customers["tau"]):
        assert probability.between(0.04, 0.99, inclusive="neither").all()


def test_probabilities_stay_inside_the_bounds_for_the_most_extreme_customers(customers: pd.DataFrame) -> None:
    extremes = customers.head(4).assign(
        age=[14.0, 94.0, np.nan, 94.0],
        n_orders=[1, 100_000, 1, 1],
        is_weekend=[0, 100_000, 0, 0],
        regular_points_spent_per_order=[0.0, -1e9, 0.0, -1e9],
        express_points_spent_per_order=[-1e9, 0.0, 0.0, 0.0],
        products_per_order=[1.0, 1e9, 1.0, 1e9],
        gender_F=[0, 1, 0, 1],
        fis_transformed=[260.0, 974.0, 974.0, 260.0],
        frd_transformed=[np.nan, 974.0, np.nan, 1.0],
    )
    for probability in response_probabilities(extremes):
        assert ((probability > 0.04) & (probability < 0.99)).all()


def test_the_truth_is_a_function_of_features_that_the_raw_rows_give(customers: pd.DataFrame) -> None:
    untreated, treated = response_probabilities(customers)
    np.testing.assert_allclose(untreated, customers["mu0"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(treated - untreated, customers["tau"], rtol=0, atol=1e-9)


def test_a_first_redemption_after_the_campaign_counts_as_none(drawn: Drawn, customers: pd.DataFrame) -> None:
    dates = drawn.frame("clients")["first_redeem_date"]
    later = dates >= CAMPAIGN_DATE
    assert later.mean() == pytest.approx(0.06, abs=0.02)
    assert (dates[later] < CAMPAIGN_DATE + pd.Timedelta(days=250)).all()
    assert customers["frd_transformed"].isna().mean() == pytest.approx(0.11, abs=0.02)
    never = customers["frd_transformed"].isna()
    assert (never == (later | dates.isna())).all()
    assert (customers.loc[never, ["regular_points_spent_per_order", "express_points_spent_per_order"]] == 0).all(
        axis=None
    )


def test_outcomes_follow_the_truth_among_those_who_gain_most_and_least(customers: pd.DataFrame) -> None:
    fifths = pd.qcut(customers["tau"], 5, labels=False)
    for fifth in (0, 4):
        rows = customers[fifths == fifth]
        rates, errors = arms(rows)
        assert abs(rates[1] - rates[0] - rows["tau"].mean()) < 3 * np.hypot(*errors)


def test_the_baseline_ranks_responders_as_well_as_in_real_data(drawn: Drawn) -> None:
    ranks, responds = drawn.control["mu0"].rank(), drawn.control["target"] == 1
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
    features = customers.drop(columns=["client_id", "target"])
    treated = features.pop("treatment_flg") == 1
    difference = (features[treated].mean() - features[~treated].mean()) / features.std()
    assert difference.abs().max() < 4 * 2 / np.sqrt(SIZE)


def test_frequency_and_spending_drive_the_features_together(customers: pd.DataFrame) -> None:
    for (first, second), least in {
        ("n_orders", "rows"): 0.7,
        ("n_orders", "trn_sum_from_iss"): 0.5,
        ("products_per_order", "is_weekend"): 0.4,
        ("avg_paid_per_order", "products_per_order"): 0.6,
        ("avg_paid_per_order", "avg_regular_points_received_per_order"): 0.7,
        ("avg_paid_per_order", "trn_sum_from_iss"): 0.4,
    }.items():
        assert customers[first].corr(customers[second], method="spearman") > least, (first, second)


def test_receipts_fall_into_the_days_of_the_log_and_the_hours_of_shops(receipts: pd.DataFrame) -> None:
    moments = receipts["transaction_datetime"]
    assert moments.min() >= pd.Timestamp("2018-11-21")
    assert moments.max() < CAMPAIGN_DATE
    assert (moments.dt.day_of_week >= 5).mean() == pytest.approx(0.281, abs=0.01)
    assert moments.dt.hour.between(6, 18).mean() > 0.9
    active = receipts.groupby("client_id")["transaction_datetime"].agg(["min", "max", "size"])
    frequent = active[active["size"] > 30]
    days = (frequent["max"] - frequent["min"]).dt.days
    assert days.quantile(0.5) > 100
    assert days.quantile(0.1) < 80


def test_customers_have_a_home_store(receipts: pd.DataFrame) -> None:
    stores = receipts.groupby("client_id")["store_id"]
    assert stores.agg(lambda names: names.value_counts(normalize=True).iloc[0]).mean() == pytest.approx(0.76, abs=0.05)
    assert 1.5 < stores.nunique().mean() < 4


def test_receipts_add_up(receipts: pd.DataFrame) -> None:
    spent = receipts["regular_points_spent"] + receipts["express_points_spent"]
    assert (receipts["purchase_sum"] >= 0).all()
    assert receipts["purchase_sum"].to_numpy() == pytest.approx((receipts["issued"] + spent).to_numpy())
    assert (receipts["redeemed"].isna() == (spent == 0)).all()
    redeemed = receipts.dropna(subset=["redeemed"])
    cents = 0.005 * redeemed["rows"] + 1e-6
    assert ((redeemed["redeemed"] - redeemed["purchase_sum"]).abs() <= cents).all()
    for kind in ("regular", "express"):
        points = receipts[f"{kind}_points_spent"]
        assert (points <= 0).all()
        assert (points == np.rint(points)).all()
    tenths = receipts["regular_points_received"] * 10
    assert (tenths - np.rint(tenths)).abs().max() < 1e-9


def test_points_are_not_spent_before_the_first_redemption(drawn: Drawn, receipts: pd.DataFrame) -> None:
    first = drawn.frame("clients").set_index("client_id")["first_redeem_date"]
    spending = receipts[receipts["redeemed"].notna()]
    assert (spending["transaction_datetime"] >= spending["client_id"].map(first)).all()


def test_categories_are_nested_and_counted_as_in_x5(drawn: Drawn) -> None:
    products = drawn.frame("products")
    assert len(products) == 43_038
    assert [products[f"level_{level}"].nunique() for level in range(1, 5)] == [3, 42, 201, 790]
    for level in range(2, 5):
        assert products.groupby(f"level_{level}")[f"level_{level - 1}"].nunique().max() == 1
    assert products["brand_id"].nunique() == 4_296
    assert products["vendor_id"].nunique() == 3_193
    assert products["brand_id"].isna().mean() == pytest.approx(0.12, abs=0.005)
    assert products["is_own_trademark"].mean() == pytest.approx(0.035, abs=0.003)
    assert products["is_alcohol"].mean() == pytest.approx(0.056, abs=0.003)


def test_brands_and_weights_are_shaped_as_in_x5(drawn: Drawn) -> None:
    if not REAL_PRODUCTS.exists():
        pytest.skip(f"X5's list of products is not at {REAL_PRODUCTS}")
    real, products = pd.read_csv(REAL_PRODUCTS), drawn.frame("products")
    ranks = [0, 1, 2, 9, 99, 999, 2_000, 3_000]
    sizes = products["brand_id"].value_counts().to_numpy()[ranks]
    assert sizes == pytest.approx(real["brand_id"].value_counts().to_numpy()[ranks], rel=0.5, abs=1)
    quantiles = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]
    assert products["netto"].quantile(quantiles).to_numpy() == pytest.approx(
        real["netto"].quantile(quantiles).to_numpy(), rel=0.12
    )


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again = draw_pieces(1_500, 3), draw_pieces(1_500, 3)
    for name, pieces in first.items():
        assert [serialised(piece) for piece in pieces] == [serialised(piece) for piece in again[name]]


def serialised(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_another_seed_gives_other_customers_and_products() -> None:
    first, other = draw_pieces(1_500, 1), draw_pieces(1_500, 2)
    for name, column in {"clients": "client_id", "purchases": "transaction_id", "products": "product_id"}.items():
        assert not set(first[name][0][column].to_pylist()) & set(other[name][0][column].to_pylist())
    assert first["truth"][0]["mu0"] != other["truth"][0]["mu0"]


@pytest.mark.parametrize("order", ["row", "id"])
def test_neither_row_order_nor_id_order_tells_anything(customers: pd.DataFrame, order: str) -> None:
    position = pd.Series(range(SIZE)) if order == "row" else customers["client_id"].rank()
    told = customers.select_dtypes("number")
    assert told.rank().corrwith(position).abs().max() < 4.5 / np.sqrt(SIZE)


def test_load_draws_nothing_until_its_pieces_are_asked_for() -> None:
    rng = np.random.default_rng(1)
    pieces = simulated.load({"customers": 1_000}, rng)
    assert isinstance(pieces, Iterator)
    assert rng.random() == np.random.default_rng(1).random()


@pytest.mark.parametrize("size", [999, -5, 0, 60_000.0, "60000", None, True])
def test_a_size_that_is_no_integer_of_a_thousand_or_more_is_an_input_error_at_the_call(size: object) -> None:
    with pytest.raises(
        InputError, match=r"^data\.simulated\.customers: expected an integer of 1,000 or more, got [^\n]+$"
    ):
        simulated.load({"customers": size}, np.random.default_rng(1))


@pytest.mark.parametrize("params", [{}, {"custmers": 2_000}, {"customers": 2_000, "seed": 1}])
def test_a_missing_or_unknown_key_is_an_input_error_that_names_it(params: Mapping[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^data\.simulated\.(customers is missing|seed is unknown); [^\n]+$"):
        simulated.load(params, np.random.default_rng(1))
