"""Customers whose discount was drawn by lot, or given by judgment, with effects that are known."""

import numpy as np
import pandas as pd

from promotions.discount.groups.bins import fit_bands
from tests.support.randomness import rng_of

LEVELS = np.array([0.0, 10.0, 20.0, 40.0, 100.0])


def effect_of(age):
    """Of a dollar on profit: it pays from 40 on."""
    return (age - 40) / 200


def draw_customers(seed=1, n=4000, *, log=False):
    """Profit is linear in the discount, with a slope that grows with age; the log gives more to those who buy more."""
    rng = rng_of(seed)
    age, tenure = rng.integers(20, 61, n).astype(float), rng.integers(1, 30, n).astype(float)
    woman = rng.random(n) < 0.5
    base = 60 + 0.4 * age + 5 * woman
    dose = rng.choice(LEVELS, n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    prediction = base + rng.normal(0, 3, n)
    if log:
        wanted = np.argsort(np.argsort(prediction + rng.normal(0, 4, n))) / n
        dose = LEVELS[np.searchsorted([0.3, 0.55, 0.75, 0.9], wanted)]
    profit = base + effect_of(age) * dose + rng.normal(0, 5, n)
    gender = pd.array(np.where(rng.random(n) < 0.1, None, np.where(woman, "1", "0")), dtype="string")
    frame = pd.DataFrame({"row": np.arange(n), "age": age, "tenure": tenure, "gender": gender, "discount": dose})
    frame = frame.assign(profit=profit, sales=(profit + dose) / 0.05)
    return frame.assign(sales_prediction=prediction / 0.05) if log else frame


def banded(table, bands=3):
    """Bands of the discount, and the one of each customer."""
    found = fit_bands(table["discount"].to_numpy(), bands, 30)
    return found, found.place(table["discount"])
