"""A shop that gives discounts, simulated: its four tables, and the truth that no real file shows.

The world. A customer of age a who is given the discount d buys, on average, for

    baseline(x) + g(d, a),   g(d, a) = slope(a)·d + (s((d − 95)/8) − s(−95/8))·(jump(a) + steeper(a)·(d − 95)),
    slope(a) = 15.5 + 2.2·w(a),  jump(a) = 250 + 600·w(a),  steeper(a) = 2.5 + 0.5·w(a),  w(a) = s((a − 37)/1.5),

s the logistic function, and leaves profit = 0.05·sales − d. A small discount loses money on everybody; one of about 100
brings customers back; the young then earn less than it costs, the older more. So on average profit is U-shaped in the
discount, the best single discount for all is none, and a large one pays for customers above 35. Only dose
and age decide the response. Noise is multiplicative, log-normal, with mean 1.

The tables. *Observational*: the company forecasts sales, sorts the forecasts into tenths, and gives more to those with
higher forecasts, and to the older. Sales and discount share these causes: profit seems to rise with the discount.
*Randomised*: one of 17 levels by lot, small ones more often. *Cut-off*: above 19 months of tenure a high discount is
likely, below it is rare (fuzzy). *Panel*: other customers each month; women get 25 from month 5, everybody in the state
MG gets 25 more from month 11; the gender of a tenth is not known, and half of these are women. Grocery spend of months
3 to 6, clothes and baby of month 6 were measured after the discount and grow with it: traps if used as features.

Sizes, ages, states, months and spend by category resemble those of a real shop; the effects are made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtr

from promotions.base.validation import require_keys, require_whole

Floats = NDArray[np.float64]

KEY = "discount.simulated"
ROLES = ("observational", "randomised", "cutoff", "panel")
MIN_ROWS = 500
MARGIN = 0.05

AGES = np.arange(15, 76)
MISSING_GENDER = 0.1
NOISE, PANEL_NOISE = 0.14, 0.22

LEVELS = 10.0 * np.arange(17)
LEVEL_SHARES = 0.86 ** np.arange(17) / (0.86 ** np.arange(17)).sum()

FORECAST_ERROR = 90.0
LOG_DOSES = 5.0 * np.arange(36)
LOG_HESITATION = 30.0

RUNNING, CUTOFF = "tenure", 19
HIGH_SHARE_BELOW, HIGH_SHARE_ABOVE = 0.05, 0.85
HIGH_MEAN, HIGH_SPREAD, LOW_MEAN = 90.0, 25.0, 10.0
CUTOFF_DOSES = np.arange(201.0)

MONTH_SHARES = (1.5, 2.5, 4.5, 8, 11, 13.5, 13.5, 12, 9, 6.5, 4, 3, 2, 1.7, 1.4, 1.4, 1.3, 1.2, 1.2, 1.2)
GENDER_SHARES = {"W": 0.46, "M": 0.45, "O": 0.09}
TREATED_GENDER, TREATED_FROM, TREATED_DOSE = "W", 5, 25.0
REGION, REGION_FROM, REGION_DOSE = "MG", 11, 25.0

# Share of customers in %, and money by which the state's sales differ.
STATES = {
    "SP": (21.7, 260), "MG": (9.7, 120), "RJ": (8.6, -180), "BA": (7.1, -60), "RS": (5.5, -320), "PR": (5.2, 40),
    "PE": (4.6, 240), "CE": (4.5, 130), "PA": (4.0, -380), "SC": (3.6, -340), "MA": (3.5, 10), "GO": (3.4, 380),
    "AM": (2.0, -100), "ES": (2.0, 120), "PB": (1.9, -150), "RN": (1.7, -110), "PI": (1.7, -330), "AL": (1.6, -270),
    "MT": (1.6, -160), "DF": (1.5, -370), "SE": (1.2, -420), "MS": (1.2, -310), "RO": (0.8, -230), "TO": (0.6, -300),
    "AP": (0.4, -120), "AC": (0.4, -330), "RR": (0.3, -170),
}  # fmt: skip
STATE_SHARES = np.array([share for share, _ in STATES.values()]) / sum(share for share, _ in STATES.values())
STATE_LEVELS = np.array([float(level) for _, level in STATES.values()])

# Price of a unit; share of customers who buy in month 1, in a later month; sales that a dollar of month 1 stands for.
SPEND = {
    "baby": (5.0, 0.128, 0.054, 2.0),
    "clothes": (25.0, 0.132, 0.057, 3.0),
    "health": (100.0, 0.006, 0.002, 2.0),
    "pet": (20.0, 0.009, 0.003, 2.0),
    "eletronic": (500.0, 0.005, 0.002, 0.5),
}
# Groceries: money a month on average, unit, share active in a later month, shape of the taste for them, worth.
GROCERIES, GROCERY_UNIT, GROCERY_ACTIVE, GROCERY_SHAPE, GROCERY_WORTH = 24.0, 5.0, 0.72, 0.9, 4.0
# Columns measured after the discount: share of customers in whom it shows, money if they come back for sure.
POST_TREATMENT = {
    **{f"spend_{month}m_groceries": (0.6, 110.0) for month in range(3, 7)},
    "spend_6m_clothes": (0.12, 300.0),
    "spend_6m_baby": (0.12, 400.0),
}

# Customers behind the population values of the log: their Monte-Carlo error is an eighth of that of 15,000 rows.
DRAWS = 1_000_000


@dataclass(frozen=True)
class Simulation:
    """What was drawn.

    tables: by role, in the layout of a user's files.  truth: see ``truth``.  expected: one row for each of the
    randomised table: ``row`` and E[sales | customer, level], columns ``sales_0, sales_10, …, sales_160``.
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, float | str]
    expected: pd.DataFrame


def simulate(sizes: Mapping[str, Any], rng: np.random.Generator) -> Simulation:
    """Draw the four tables; each has its own random stream, so the size of one does not change the others.

    sizes: rows of each of ``ROLES``, whole numbers of 500 or more; raises InputError otherwise.
    """
    require_keys(sizes, ROLES, KEY)
    rows = {role: require_whole(sizes[role], f"{KEY}.{role}", MIN_ROWS) for role in ROLES}
    streams = dict(zip(ROLES, rng.spawn(len(ROLES)), strict=True))
    randomised, expected = draw_randomised(rows["randomised"], streams["randomised"])
    tables = {
        "observational": draw_observational(rows["observational"], streams["observational"]),
        "randomised": randomised,
        "cutoff": draw_cutoff(rows["cutoff"], streams["cutoff"]),
        "panel": draw_panel(rows["panel"], streams["panel"]),
    }
    return Simulation(tables, truth(), expected)


# ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────


def response(dose: ArrayLike, age: ArrayLike) -> Floats:
    """g(d, a): the sales that a discount of ``dose`` adds at an ``age``, money; the two broadcast."""
    d, older = np.asarray(dose, dtype=np.float64), _older(age)
    return (15.5 + 2.2 * older) * d + (_comes_back(d) - _comes_back(0)) * (
        250 + 600 * older + (2.5 + 0.5 * older) * (d - 95)
    )


def age_shares() -> Floats:
    """P(age) over ``AGES``: log-normal, median 30.9 years, in whole years. Independent of everything except sales."""
    edges = np.concatenate([[0.0], AGES[1:] - 0.5, [np.inf]])
    with np.errstate(divide="ignore"):
        return np.diff(ndtr(np.log(edges / 30.9) / 0.2))


def _older(age: ArrayLike) -> Floats:
    return np.asarray(expit((np.asarray(age, dtype=np.float64) - 37) / 1.5), dtype=np.float64)


def _comes_back(dose: ArrayLike) -> Floats:
    return np.asarray(expit((np.asarray(dose, dtype=np.float64) - 95) / 8), dtype=np.float64)


@dataclass(frozen=True)
class _People:
    """Customers before a discount: who they are, what they spent in month 1, and their sales without a discount."""

    age: Floats
    woman: NDArray[np.bool_]
    state: NDArray[np.intp]
    months: Floats
    taste: Floats
    spent: dict[str, Floats]
    baseline: Floats


def _draw_people(n: int, tenure: float, rng: np.random.Generator) -> _People:
    """tenure: its mean in months."""
    age = rng.choice(AGES, n, p=age_shares()).astype(np.float64)
    woman = rng.random(n) < 0.5
    state = rng.choice(len(STATES), n, p=STATE_SHARES)
    months = np.maximum(np.rint(rng.normal(tenure, 2.45, n)), 0)
    taste = rng.gamma(GROCERY_SHAPE, 1 / GROCERY_SHAPE, n)
    spent = {name: _rarely(unit, share, n, rng) for name, (unit, share, _, _) in SPEND.items()}
    spent["groceries"] = GROCERY_UNIT * rng.poisson(taste * GROCERIES / GROCERY_UNIT).astype(np.float64)
    worth = sum(SPEND[name][3] * spent[name] for name in SPEND) + GROCERY_WORTH * spent["groceries"]
    baseline = 550 + 14 * age + 45 * woman + 5 * (months - tenure) + 0.15 * STATE_LEVELS[state] + worth
    return _People(age, woman, state, months, taste, spent, baseline)


def _rarely(unit: float, share: float, n: int, rng: np.random.Generator) -> Floats:
    """Spend of a few customers, in whole units."""
    return unit * (1 + rng.poisson(0.3, n).astype(np.float64)) * (rng.random(n) < share)


def _customer_table(people: _People, dose: Floats, rng: np.random.Generator) -> pd.DataFrame:
    """A table of the first three roles: later spend, sales and profit under ``dose``."""
    n = len(dose)
    columns: dict[str, Any] = {}
    for name, (unit, _, later, _) in SPEND.items():
        columns[f"spend_1m_{name}"] = people.spent[name]
        columns |= {f"spend_{month}m_{name}": _rarely(unit, later, n, rng) for month in range(2, 7)}
    columns["spend_1m_groceries"] = people.spent["groceries"]
    often = people.taste * GROCERIES / GROCERY_UNIT / GROCERY_ACTIVE
    for month in range(2, 7):
        active = rng.random(n) < GROCERY_ACTIVE
        columns[f"spend_{month}m_groceries"] = GROCERY_UNIT * rng.poisson(often) * active
    came_back = _comes_back(dose) * (0.5 + 0.5 * _older(people.age))
    for name, (share, amount) in POST_TREATMENT.items():
        more = np.rint((rng.random(n) < share) * came_back * amount * rng.gamma(4, 0.25, n))
        columns[name] = columns[name] + more
    gender = np.where(rng.random(n) < MISSING_GENDER, np.nan, people.woman.astype(np.float64))
    return pd.DataFrame(
        {
            **columns,
            **_outcome(people.baseline + response(dose, people.age), dose, NOISE, rng),
            "age": people.age,
            "gender": gender,
            "cust_state": np.array(list(STATES))[people.state],
            RUNNING: people.months,
        }
    )


def _outcome(expected: Floats, dose: Floats, noise: float, rng: np.random.Generator) -> dict[str, Floats]:
    """Sales around their expectation, and profit, both in cents."""
    sales = np.round(expected * np.exp(noise * rng.standard_normal(len(expected)) - noise**2 / 2), 2)
    return {"sales": sales, "discount": dose, "profit": np.round(MARGIN * sales - dose, 2)}


# ── the four tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def draw_observational(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """The company's log: the discount follows the tenth of its forecast, and age."""
    people = _draw_people(n, 6, rng)
    forecast = _forecast(people, rng)
    tenth = tenths(forecast)
    wanted = _wanted(tenth, people.age) + LOG_HESITATION * rng.standard_normal(n)
    step = LOG_DOSES[1]
    dose = np.clip(step * np.rint(wanted / step), 0, LOG_DOSES[-1])
    table = _customer_table(people, dose, rng)
    return table.assign(sales_prediction_bins=tenth.astype(np.float64), sales_prediction=np.round(forecast, 4))


def draw_randomised(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The test, and the expected sales of its customers at each level."""
    people = _draw_people(n, 21, rng)
    table = _customer_table(people, rng.choice(LEVELS, n, p=LEVEL_SHARES), rng)
    expected = people.baseline[:, None] + response(LEVELS, people.age[:, None])
    sales = pd.DataFrame(expected, columns=[f"sales_{level:g}" for level in LEVELS])
    return table, pd.concat([pd.DataFrame({"row": np.arange(n, dtype=np.int64)}), sales], axis=1)


def draw_cutoff(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """A high discount is likely above ``CUTOFF`` months, a low one below; discounts are whole dollars."""
    people = _draw_people(n, 21, rng)
    high = rng.random(n) < np.where(people.months > CUTOFF, HIGH_SHARE_ABOVE, HIGH_SHARE_BELOW)
    wanted = np.where(high, rng.normal(HIGH_MEAN, HIGH_SPREAD, n), rng.exponential(LOW_MEAN, n))
    return _customer_table(people, np.clip(np.rint(wanted), 0, CUTOFF_DOSES[-1]), rng)


def draw_panel(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Repeated cross-sections; sales grow by the month, alike for all."""
    month = rng.choice(len(MONTH_SHARES), n, p=np.array(MONTH_SHARES) / sum(MONTH_SHARES)).astype(np.float64)
    age = rng.choice(AGES, n, p=age_shares()).astype(np.float64)
    gender = rng.choice(list(GENDER_SHARES), n, p=list(GENDER_SHARES.values()))
    state = rng.choice(len(STATES), n, p=STATE_SHARES)
    names = np.array(list(STATES))[state]
    dose = TREATED_DOSE * ((gender == TREATED_GENDER) & (month >= TREATED_FROM))
    dose += REGION_DOSE * ((names == REGION) & (month >= REGION_FROM))
    baseline = 940 + 14 * age + 60 * month - 25 * (gender == TREATED_GENDER) + STATE_LEVELS[state]
    recorded = pd.Series(gender, dtype="string").mask(rng.random(n) < MISSING_GENDER)
    return pd.DataFrame(
        {
            **_outcome(baseline + response(dose, age), dose, PANEL_NOISE, rng),
            "age": age,
            "gender": recorded,
            "cust_state": names,
            RUNNING: np.maximum(np.rint(rng.normal(20, 4.5, n)), 0),
            "month": month,
        }
    )


def tenths(values: Floats) -> NDArray[np.intp]:
    """The tenth of each value among all, 0 to 9."""
    return np.searchsorted(np.quantile(values, np.arange(1, 10) / 10), values, side="right")


def _forecast(people: _People, rng: np.random.Generator) -> Floats:
    """The company's forecast of sales without a discount: right on average."""
    return people.baseline + FORECAST_ERROR * rng.standard_normal(len(people.age))


def _wanted(tenth: ArrayLike, age: ArrayLike) -> Floats:
    """The discount of the log before the company hesitates and rounds."""
    return np.asarray(9.5 * np.asarray(tenth) + 0.5 * (np.asarray(age, dtype=np.float64) - 31.5), dtype=np.float64)


# ── the truth ────────────────────────────────────────────────────────────────────────────────────────────────────────


def truth() -> dict[str, float | str]:
    """What the stages estimate, as population values. Money; profit at a margin of .05, so .05·(sales) − discount.

    * ``slope_{sales,profit}_randomised``: regression on the discount in the test, over its levels' shares.
      ``effect_above_30``: profit above 30 minus profit at 30 and below. ``best_level``, ``best_level_gain``: the level
      with the highest mean profit if all get it, and that profit over no discount; ``oracle_gain``: the same if each
      gets the best level of their age; ``oracle_lead``: the difference.
    * ``slope_{sales,profit}_naive``: regression on the discount alone in the log; ``…_bins`` with a dummy a tenth of
      the forecast; ``…_bins_age`` with age as well; ``…_log``: the partially linear coefficient, E[Cov(D, Y | X)] /
      E[Var(D | X)], the limit of double ML with all columns; ``…_log_average``: E[Cov(D, Y | X)/Var(D | X)]. Effects
      differ and bend, so all of these differ, also from the slope in the test.
    * ``jump_{discount,sales,profit}`` at the cut-off, and per dollar of discount ``effect_per_dollar_at_cutoff``
      (profit) and ``sales_per_dollar_at_cutoff``.
    * ``did_effect``, ``did_effect_sales``: of 25 on women. ``region_effect``, ``region_effect_sales``: of 25 more on
      the customers of MG, women (who have 25) and others; ``region_effect_women``, ``region_effect_others`` (profit).
    * ``post_treatment``: columns that depend on the discount.

    Sums over the laws of age and dose, in closed form; those of the log over a million customers, see ``DRAWS``.
    """
    return {
        "margin": MARGIN,
        **_truth_of_the_test(),
        **_truth_of_the_log(),
        **_truth_at_the_cutoff(),
        **_truth_of_the_panel(),
        "post_treatment": ",".join(POST_TREATMENT),
    }


def _mean_response(doses: ArrayLike) -> Floats:
    """E[g(d, age)] for each dose."""
    return age_shares() @ response(np.asarray(doses)[None, :], AGES[:, None])


def _truth_of_the_test() -> dict[str, float | str]:
    added = _mean_response(LEVELS)
    gain = MARGIN * added - LEVELS
    weighted = LEVEL_SHARES * (LEVELS - LEVEL_SHARES @ LEVELS)
    slope = float(weighted @ added / (weighted @ LEVELS))
    high = LEVELS > 30
    above, below = (float(np.average(gain[side], weights=LEVEL_SHARES[side])) for side in (high, ~high))
    personal = (MARGIN * response(LEVELS, AGES[:, None]) - LEVELS).max(axis=1)
    oracle = float(age_shares() @ personal)
    return {
        "slope_sales_randomised": slope,
        "slope_profit_randomised": MARGIN * slope - 1,
        "effect_above_30": above - below,
        "best_level": float(LEVELS[gain.argmax()]),
        "best_level_gain": float(gain.max()),
        "oracle_gain": oracle,
        "oracle_lead": oracle - float(gain.max()),
    }


def _truth_of_the_log() -> dict[str, float | str]:
    """Discounts depend on tenth and age alone: within these cells their distribution and all means are known."""
    tenth, age = np.repeat(np.arange(10), len(AGES)), np.tile(AGES, 10).astype(np.float64)
    weight, baseline = _log_cells()
    edges = np.concatenate([[-np.inf], (LOG_DOSES[1:] + LOG_DOSES[:-1]) / 2, [np.inf]])
    joint = weight[:, None] * np.diff(ndtr((edges - _wanted(tenth, age)[:, None]) / LOG_HESITATION), axis=1)
    sales = baseline[:, None] + response(LOG_DOSES, age[:, None])
    mean_dose = joint @ LOG_DOSES / weight

    def slope(controls: Floats) -> float:
        """The coefficient of the dose beside ``controls``, by Frisch–Waugh–Lovell over the cells."""
        root = np.sqrt(weight)
        coefficients = np.linalg.lstsq(root[:, None] * controls, root * mean_dose, rcond=None)[0]
        residual = joint * (LOG_DOSES - (controls @ coefficients)[:, None])
        return float((residual * sales).sum() / (residual @ LOG_DOSES).sum())

    dummies = np.eye(10)[tenth]
    from_mean = joint * (LOG_DOSES - mean_dose[:, None])
    covariance, variance = (from_mean * sales).sum(axis=1), from_mean @ LOG_DOSES
    slopes = {
        "naive": slope(np.ones((len(tenth), 1))),
        "bins": slope(dummies),
        "bins_age": slope(np.column_stack([dummies, age])),
        "log": float(covariance.sum() / variance.sum()),
        "log_average": float(weight @ (covariance / variance)),
    }
    truths: dict[str, float | str] = {f"slope_sales_{name}": value for name, value in slopes.items()}
    return truths | {f"slope_profit_{name}": MARGIN * value - 1 for name, value in slopes.items()}


def _log_cells() -> tuple[Floats, Floats]:
    """P(tenth, age) and E[baseline | tenth, age], (610,) each."""
    rng = np.random.default_rng(0)
    people = _draw_people(DRAWS, 6, rng)
    cell = tenths(_forecast(people, rng)) * len(AGES) + (people.age - AGES[0]).astype(np.intp)
    counts = np.bincount(cell, minlength=10 * len(AGES))
    total = np.bincount(cell, people.baseline, minlength=len(counts))
    # An empty cell gets almost no weight instead of 0, because its weight is a divisor.
    return np.maximum(counts, 1e-6) / DRAWS, total / np.maximum(counts, 1)


def _truth_at_the_cutoff() -> dict[str, float | str]:
    inner = CUTOFF_DOSES[:-1] + 0.5
    low = np.diff(np.concatenate([[0.0], 1 - np.exp(-inner / LOW_MEAN), [1.0]]))
    high = np.diff(np.concatenate([[0.0], ndtr((inner - HIGH_MEAN) / HIGH_SPREAD), [1.0]]))
    change = (HIGH_SHARE_ABOVE - HIGH_SHARE_BELOW) * (high - low)
    discount, sales = float(change @ CUTOFF_DOSES), float(change @ _mean_response(CUTOFF_DOSES))
    profit = MARGIN * sales - discount
    return {
        "jump_discount": discount,
        "jump_sales": sales,
        "jump_profit": profit,
        "effect_per_dollar_at_cutoff": profit / discount,
        "sales_per_dollar_at_cutoff": sales / discount,
    }


def _truth_of_the_panel() -> dict[str, float | str]:
    doses = np.array([0, TREATED_DOSE, REGION_DOSE, TREATED_DOSE + REGION_DOSE])
    added = _mean_response(doses)
    gain = MARGIN * added - doses
    women = GENDER_SHARES[TREATED_GENDER]
    in_region = [women * (each[3] - each[1]) + (1 - women) * (each[2] - each[0]) for each in (gain, added)]
    return {
        "did_effect": float(gain[1] - gain[0]),
        "did_effect_sales": float(added[1] - added[0]),
        "region_effect": float(in_region[0]),
        "region_effect_sales": float(in_region[1]),
        "region_effect_women": float(gain[3] - gain[1]),
        "region_effect_others": float(gain[2] - gain[0]),
    }
