"""A panel with known effects: who is drawn, and the layout of other packages' tables."""

import numpy as np
import pandas as pd

from promotions.discount.did.design import Design, Treated
from tests.support.randomness import rng_of

SEARCH_GROUP = {"column": "gender", "level": "search", "month": "search"}
SEARCH_REGION = {"column": "cust_state", "level": "search", "month": "search"}
DESIGN = Design(Treated("gender", "W", 3.0), Treated("cust_state", "MG", 5.0), "cust_state")
WOMEN_EFFECT, REGION_EFFECT = -4.0, -6.0


def draw_panel(seed=1, n=4000, *, unknown=0.15, trend=0.0, clean=True):
    """Customers of eight months and six states: women get 20 from month 3, MG 20 more from month 5.

    Every state goes its own way in every month, women are 5 lower throughout, their trend is ``trend`` steeper.
    """
    rng = rng_of(seed)
    month, state = rng.integers(0, 8, n), rng.choice(["MG", "SP", "RJ", "BA", "RS", "PR"], n)
    woman = rng.random(n) < 0.5
    shocks = rng_of(99).normal(0, 5, (8, 6)).cumsum(axis=0)
    code = pd.factorize(state, sort=True)[0]
    treated, region = woman & (month >= 3), (state == "MG") & (month >= 5)
    profit = 80 + shocks[month, code] - 5 * woman + trend * woman * month + (1 + woman) * 3 * rng.normal(size=n)
    profit = profit + WOMEN_EFFECT * treated + REGION_EFFECT * region * (1 if clean else 1 - woman)
    dose = 20.0 * treated + 20.0 * region
    gender = np.where(rng.random(n) < unknown, None, np.where(woman, "W", "M"))
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "sales": (profit + dose) / 0.05,
            "discount": dose,
            "profit": profit,
            "age": rng.normal(30, 5, n),
            "gender": pd.array(gender, dtype="string"),
            "cust_state": pd.array(state, dtype="string"),
            "month": month.astype(float),
        }
    )


def of(frame, estimator, outcome="profit", treated="group"):
    rows = frame[(frame["estimator"] == estimator) & (frame["outcome"] == outcome) & (frame["treated"] == treated)]
    assert len(rows) == 1
    return rows.iloc[0]


def in_our_layout(table, group, region, month):
    """A table of another package as a panel: ``outcome`` becomes profit, who is treated shows in gender and state."""
    return pd.DataFrame(
        {
            "profit": table["outcome"],
            "sales": table["outcome"],
            "discount": 10.0 * table["treated_now"],
            "gender": np.where(group, "W", "M"),
            "cust_state": np.where(region, "MG", "SP"),
            "month": table[month].astype(float),
        }
    )
