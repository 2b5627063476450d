"""Numbers that are the same on every processor."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.base.rounding import alike, product, rounded, significant, solve

NUMBERS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: number == 0 or abs(number) > 1e-280)


@given(NUMBERS, st.integers(1, 15))
def test_a_number_has_as_many_digits_as_asked_for(number: float, digits: int) -> None:
    assert float(significant(number, digits)) == pytest.approx(
        float(f"{number:.{digits - 1}e}"), rel=10.0 ** (1 - digits) * 1.01
    )
    assert (
        f"{float(significant(number, digits)):.15g}"
        == f"{float(f'{float(significant(number, digits)):.{digits}g}'):.15g}"
    )


@pytest.mark.parametrize(
    ("number", "near"),
    [
        (0.1, 0.1),
        (-1234.56789, -1234.5679),
        (9.99999999999, 10.0),
        (123456789012.0, 123456790000.0),
        (8.3e-310, 0.0),
        (0.0, 0.0),
        (-0.0, 0.0),
        (np.inf, np.inf),
        (-np.inf, -np.inf),
    ],
)
def test_a_number_of_few_digits_stays_and_others_lose_them(number: float, near: float) -> None:
    assert repr(float(significant(number))) == repr(near)
    assert np.isnan(significant([np.nan]))


def test_numbers_solved_for_together_end_at_one_place() -> None:
    np.testing.assert_array_equal(alike([12.3456789012, 1e-9, -0.00123456]), [12.345679, 0.0, -0.001235])
    np.testing.assert_array_equal(alike([0.0, 0.0]), [0.0, 0.0])
    assert len(alike([])) == 0


def test_noise_in_the_thirteenth_digit_is_gone() -> None:
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(10_000)
    noisy = numbers * (1 + 1e-13 * rng.standard_normal(10_000))
    assert (numbers != noisy).mean() > 0.9
    assert (significant(numbers) != significant(noisy)).sum() <= 1


def test_products_and_solutions_are_those_of_linear_algebra() -> None:
    rng = np.random.default_rng(1)
    left, right = rng.standard_normal((30, 7)), rng.standard_normal((7, 5))
    np.testing.assert_allclose(product(left, right), left @ right, rtol=1e-12)
    np.testing.assert_allclose(product(left, right[:, 0]), left @ right[:, 0], rtol=1e-12)
    matrix, vector = rng.standard_normal((12, 12)), rng.standard_normal(12)
    # Without exchanging rows it would divide by 0.
    matrix[0, 0] = 0.0
    np.testing.assert_allclose(solve(matrix, vector), np.linalg.solve(matrix, vector), rtol=1e-9)


@dataclass(frozen=True)
class Holder:
    number: float
    frame: pd.DataFrame


def test_every_float_of_a_container_is_rounded_and_nothing_else_changes() -> None:
    frame = pd.DataFrame(
        {"x": [1 / 3, np.nan], "n": [1, 2], "word": pd.array(["a", None], dtype="string"), "yes": [True, False]}
    )
    found = rounded({"a": [1 / 3, 7, "word", None, True], "b": (2 / 3,), "c": Holder(1 / 3, frame), "d": np.arange(3)})
    assert found["a"] == [0.33333333, 7, "word", None, True]
    assert found["b"] == (0.66666667,)
    assert found["c"].number == 0.33333333
    expected = frame.assign(x=[0.33333333, np.nan])
    pd.testing.assert_frame_equal(found["c"].frame, expected, check_exact=True)
    assert frame["x"].iloc[0] == 1 / 3
    assert found["d"].dtype == np.arange(3).dtype
