"""The population stability index: by hand, by chance, and for what training never had."""

import numpy as np
import pandas as pd
import pytest

from promotions.base.encoding import fit_encoder
from promotions.scoring.drift import SOME, Drift, Profile, fit_profile


def customers(n: int, seed: int, shift: float = 0.0, shops: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    spend = rng.normal(shift, 1, n)
    spend[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame({"spend": spend, "member": rng.integers(0, 2, n), "shop": rng.choice(shops, n)})


def profile_of(training: pd.DataFrame) -> Profile:
    return fit_profile(training, fit_encoder(training, list(training.columns)))


def drift_of(profile: Profile, *pieces: pd.DataFrame) -> Drift:
    drift = Drift(profile)
    for piece in pieces:
        drift.add(piece)
    return drift


def test_the_index_is_that_of_the_formula() -> None:
    training = pd.DataFrame({"shop": ["a"] * 60 + ["b"] * 40})
    new = pd.DataFrame({"shop": ["a"] * 30 + ["b"] * 70})
    p, q = (np.array(counts) + 0.5 for counts in ([60, 40], [30, 70]))
    p, q = p / 101, q / 101
    table = drift_of(profile_of(training), new).table
    assert table["psi"][0] == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-12)
    assert table["p_value"][0] < 1e-3


def test_bins_of_a_number_hold_about_a_tenth_each_and_the_missing_apart() -> None:
    (spend, member, shop) = profile_of(customers(10_000, 1)).features
    assert len(spend["edges"]) == 9
    assert spend["counts"][-1] == customers(10_000, 1)["spend"].isna().sum()
    assert np.ptp(spend["counts"][:-1]) <= 1
    assert member["edges"] == [1.0]
    assert shop["levels"] == ["a", "b"]
    assert sum(shop["counts"]) == 10_000


def test_customers_of_the_same_population_seldom_stand_out_and_others_do() -> None:
    profile = profile_of(customers(3000, 2))
    same = [drift_of(profile, customers(n, seed)).beyond_chance for n in (20, 200, 2000) for seed in range(3, 40)]
    assert sum(map(bool, same)) == 0
    # A list of 20 has large indices, by chance.
    assert np.mean([drift_of(profile, customers(20, seed)).largest >= SOME for seed in range(3, 40)]) > 0.9
    assert list(drift_of(profile, customers(2000, 3, shift=0.6)).beyond_chance) == ["spend"]


def test_p_values_are_uniform_for_customers_of_the_same_population() -> None:
    pairs = [(customers(2000, 1000 + seed)[["spend"]], customers(1000, seed)[["spend"]]) for seed in range(400)]
    values = [drift_of(profile_of(training), new).table["p_value"][0] for training, new in pairs]
    for level in (0.05, 0.5, 0.95):
        assert np.mean(np.array(values) < level) == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 400))


def test_unknown_levels_are_counted_and_pieces_add_up() -> None:
    profile = profile_of(customers(1000, 5))
    new = customers(900, 6, shops=("a", "b", "c"))
    whole, parts = drift_of(profile, new), drift_of(profile, new[:100], new[100:])
    assert whole.unknown == {"shop": int((new["shop"] == "c").sum())}
    pd.testing.assert_frame_equal(whole.table, parts.table)
    assert "shop" in whole.beyond_chance


def test_a_profile_survives_json() -> None:
    profile = profile_of(customers(300, 7))
    again, new = Profile.from_json(profile.to_json()), customers(100, 8)
    pd.testing.assert_frame_equal(drift_of(again, new).table, drift_of(profile, new).table)


def test_features_without_values_in_training_break_nothing() -> None:
    training = pd.DataFrame({"empty": np.full(50, np.nan), "text": pd.Series([None] * 50, dtype=object)})
    encoder = fit_encoder(training.assign(text=training["text"].astype("string")), ["empty", "text"])
    drift = drift_of(fit_profile(training.assign(text=training["text"].astype("string")), encoder), training)
    assert drift.largest == 0
    assert not drift.beyond_chance
