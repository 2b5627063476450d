"""Hillstrom's e-mail experiment: the published counts and effects, from the real file where it is at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from promotions.base.errors import InputError
from promotions.customers import validate
from promotions.sources import hillstrom

REPOSITORY = Path(__file__).parents[3]
FILE = REPOSITORY.parent / "shared" / "data" / "hillstrom.csv"
at_hand = pytest.mark.skipif(
    not FILE.is_file(), reason="hillstrom.csv is not in ../shared/data; `python src/fetch.py hillstrom` downloads it"
)
PARAMS = {"path": str(FILE), "arm": "womens", "outcome": "visit"}
ROW = {
    "recency": 3, "history": 100.0, "mens": 1, "womens": 0, "zip_code": "Urban", "newbie": 0, "channel": "Web",
    "visit": 1, "conversion": 0, "spend": 0.0,
}  # fmt: skip
SMALL = pd.DataFrame([ROW | {"segment": segment} for segment in ("No E-Mail", "Mens E-Mail", "Womens E-Mail") * 2])


@pytest.fixture(scope="module")
def tables():
    return dict(hillstrom.load(PARAMS, np.random.default_rng(1)))


@at_hand
@pytest.mark.parametrize(
    ("arm", "outcome", "effect"),
    [
        ("mens", "visit", 0.0766),
        ("womens", "visit", 0.0452),
        ("mens", "conversion", 0.0068),
        ("womens", "conversion", 0.0031),
        ("mens", "spend", 0.770),
        ("womens", "spend", 0.424),
    ],
)
def test_the_effects_are_the_published_ones(tables, arm, outcome, effect):
    frame = hillstrom.to_customers(tables, {**PARAMS, "arm": arm, "outcome": outcome}).frame
    means = frame.groupby("treatment")["outcome"].mean()
    assert means[1] - means[0] == pytest.approx(effect, abs=0.5e-4 if outcome != "spend" else 0.5e-3)


@at_hand
def test_visits_of_the_three_arms_are_the_published_ones(tables):
    for arm, treated in (("mens", 0.182757), ("womens", 0.151400)):
        means = hillstrom.to_customers(tables, {**PARAMS, "arm": arm}).frame.groupby("treatment")["outcome"].mean()
        assert means.to_dict() == pytest.approx({0: 0.106167, 1: treated}, abs=1e-6)


@at_hand
def test_two_thirds_of_the_customers_are_compared_and_the_others_left_out(tables):
    assert len(tables["customers"]) == 64_000
    segments = tables["customers"]["segment"]
    for arm, label in (("mens", "Mens E-Mail"), ("womens", "Womens E-Mail")):
        found = hillstrom.to_customers(tables, {**PARAMS, "arm": arm})
        frame = validate(found.frame)
        assert len(frame) == segments.isin(["No E-Mail", label]).sum()
        assert frame["treatment"].sum() == (segments == label).sum()
        assert (frame["propensity"] == 0.5).all()
        assert not found.simulated


@at_hand
def test_neither_an_outcome_nor_the_arm_is_a_feature(tables):
    found = hillstrom.to_customers(tables, PARAMS)
    assert set(found.features) == {"recency", "history", "mens", "womens", "zip_code", "newbie", "channel"}


def test_the_other_e_mail_is_left_out_and_ids_are_rows_of_the_file():
    frame = hillstrom.to_customers({"customers": SMALL}, PARAMS).frame
    assert list(frame["customer_id"]) == ["h00000", "h00002", "h00003", "h00005"]
    assert list(frame["treatment"]) == [0, 1, 0, 1]
    other = hillstrom.to_customers({"customers": SMALL}, {**PARAMS, "arm": "mens"}).frame
    assert list(other["customer_id"]) == ["h00000", "h00001", "h00003", "h00004"]


def test_the_folder_that_holds_the_file_is_enough(tmp_path):
    SMALL.to_csv(tmp_path / "hillstrom.csv", index=False)
    loaded = dict(hillstrom.load({**PARAMS, "path": str(tmp_path)}, np.random.default_rng(1)))
    pd.testing.assert_frame_equal(loaded["customers"], SMALL, check_dtype=False)


@pytest.mark.parametrize("absent", ["segment", "spend", "zip_code"])
def test_a_missing_column_is_named(tmp_path, absent):
    SMALL.drop(columns=absent).to_csv(tmp_path / "hillstrom.csv", index=False)
    with pytest.raises(
        InputError, match=rf"data\.hillstrom\.path: column '{absent}' is missing; the file has 'recency'"
    ):
        hillstrom.load({**PARAMS, "path": str(tmp_path)}, np.random.default_rng(1))


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(
        InputError, match=r"no file at .*hillstrom\.csv'; download it with `python src/fetch\.py hillstrom`"
    ):
        hillstrom.load({**PARAMS, "path": str(tmp_path)}, np.random.default_rng(1))


@pytest.mark.parametrize("segment", ["Kids E-Mail", None])
def test_an_unknown_segment_is_named(segment):
    strange = SMALL.assign(segment=[segment, *SMALL["segment"].iloc[1:]])
    with pytest.raises(InputError, match="column 'segment' has 1 rows of an unknown arm"):
        hillstrom.to_customers({"customers": strange}, PARAMS)


@pytest.mark.parametrize(
    ("key", "value"), [("arm", "kids"), ("arm", None), ("outcome", "profit"), ("outcome", ["visit"])]
)
def test_an_unknown_arm_or_outcome_is_named(key, value):
    with pytest.raises(InputError, match=rf"data\.hillstrom\.{key}: .* is unknown; it is one of"):
        hillstrom.to_customers({"customers": SMALL}, {**PARAMS, key: value})


def test_an_unknown_parameter_is_named():
    with pytest.raises(InputError, match=r"data\.hillstrom\.arms is unknown; the keys of data\.hillstrom are path"):
        hillstrom.load({**PARAMS, "arms": "mens"}, np.random.default_rng(1))
