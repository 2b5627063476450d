"""The customers of the simulated retailer: who they are, how they shop, their loyalty card and their points.

A trait is a customer's tendency; the rows of ``receipts`` are what then happens. The marginals given here as mean (SD)
are those of the features computed from the rows: X5's control means and SDs in the earlier study.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from promotions.sources.simulated.identifiers import Strings, string_column

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Columns = dict[str, NDArray[np.generic]]

CAMPAIGN_DATE = pd.Timestamp("2019-03-19")
DAY = 86_400
LOG_DAYS = 118
GENDERS = ("F", "M", "U")
KNOWN_AGES = (14, 100)
TYPICAL_AGE = 46.0
# Entry errors: toddlers, centenarians, years of birth in place of ages, and wrong signs.
AGE_OUTLIERS = {(0, 13): 0.0080, (101, 120): 0.0024, (700, 1901): 0.0010, (-2400, -1000): 0.0005}
MEDIAN_ORDERS = 13.5
LOG_ORDERS_SD = 0.8
ALWAYS_ACTIVE, SHORTEST_ACTIVE = 0.75, 21
CARD_WINDOW_CENTRE, CARD_WINDOW_HALF = 617, 357
LAST_REDEEM = 250
STORES = 12_000


def draw_traits(rng: np.random.Generator, size: int) -> pd.DataFrame:
    """One row a customer; rows are independent and identically distributed."""
    traits = pd.DataFrame(_demographics(rng, size))
    for block in (_visits, _baskets, _loyalty_card, _points):
        traits = traits.assign(**block(rng, traits))
    return traits


def clients_table(identifier: Strings, traits: pd.DataFrame) -> pa.Table:
    """X5's table of clients. It includes first redemptions soon after the campaign, as X5's file does."""
    campaign = CAMPAIGN_DATE.value // 10**9
    issued, redeemed = traits["issued"].to_numpy(), traits["redeemed"].to_numpy()
    columns = {
        "client_id": string_column(identifier),
        "first_issue_date": pa.array(campaign + issued).cast(pa.timestamp("s")),
        "first_redeem_date": pa.array(campaign + redeemed, mask=redeemed >= LAST_REDEEM * DAY).cast(pa.timestamp("s")),
        "age": pa.array(traits["recorded_age"].to_numpy(np.int32)),
        "gender": pa.array(GENDERS).take(pa.array(traits["gender"].to_numpy())),
    }
    return pa.table(columns)


def older(age: Floats) -> Floats:
    """Age standardised."""
    return (age - TYPICAL_AGE) / 16


def frequency(orders: NDArray[np.int64]) -> Floats:
    """Standardised log of the number of orders."""
    standardised: Floats = np.log(orders / MEDIAN_ORDERS) / LOG_ORDERS_SD
    return standardised


def _demographics(rng: np.random.Generator, size: int) -> Columns:
    """Age 14 + 81·Beta in whole years, 46.46 (16); gender F .38 / M .16 / U .46, more men among the young.

    1.2 % of the recorded ages are wrong, some absurdly: 46.46 (60.60) before they are cleaned.
    """
    age = np.floor(14 + 81 * rng.beta(2.07, 3.02, size))
    female, male = 0.38 + 0.03 * older(age), 0.16 - 0.03 * older(age)
    draw = rng.random(size)
    gender = np.select([draw < female, draw < female + male], [0, 1], 2)

    bounds = np.array([*AGE_OUTLIERS, (0, 0)])
    shares = np.cumsum([*AGE_OUTLIERS.values()])
    kind = np.searchsorted(shares, rng.random(size), side="right")
    lowest, highest = bounds[kind].T
    wrong = rng.integers(lowest, highest, endpoint=True)
    return {"age": age, "recorded_age": np.where(kind < len(shares), wrong, age), "gender": gender}


def _visits(rng: np.random.Generator, traits: pd.DataFrame) -> Columns:
    """How often, when and where: orders, weekend habit, habits of the time of day, active days, home store.

    orders: lognormal in whole orders with mean 18.5 (45,786,568 log rows / 400,162 customers / 6.2 rows an order).
    weekend: share of orders at weekends, Beta with mean .281; with the size of baskets this gives 1.81 (1.80) rows
    bought at weekends per order. night, morning, afternoon: Dirichlet, cumulated; older customers come in the morning.
    Three quarters are active in the whole log, the others start late or stop early, and are active for 21 days or more.
    """
    size, age = len(traits), older(traits["age"].to_numpy())
    orders = np.maximum(np.rint(MEDIAN_ORDERS * np.exp(LOG_ORDERS_SD * rng.standard_normal(size))), 1).astype(np.int64)

    habit = np.outer(np.ones(size), [0.06, 1.4, 1.4, 0.2]) * np.exp(np.outer(age, [0.0, 0.25, -0.15, -0.5]))
    habit = rng.standard_gamma(habit)
    night, morning, afternoon, _ = np.cumsum(habit / habit.sum(axis=1, keepdims=True), axis=1).T

    partly = rng.random(size) >= ALWAYS_ACTIVE
    days = np.where(partly, rng.integers(SHORTEST_ACTIVE, LOG_DAYS, size), LOG_DAYS)
    first_day = np.where(rng.random(size) < 0.5, LOG_DAYS - days, 0)
    return {
        "orders": orders,
        "weekend": rng.beta(8.4, 21.5, size),
        "night": night,
        "morning": morning,
        "afternoon": afternoon,
        "first_day": first_day,
        "last_day": first_day + days,
        "home": rng.integers(0, STORES, size),
        "loyal": rng.beta(2.4, 0.75, size),
    }


def _baskets(rng: np.random.Generator, traits: pd.DataFrame) -> Columns:
    """The contents of baskets. Two factors drive them: their size (``rows``) and the level of prices (``prices``).

    Frequent and older customers fill smaller baskets. The features per order: products 6.4 (3.9), paid 494.55 (371.18),
    netto 3.10 (2.65; large baskets hold the heavy goods), own trademarks .97 (.77; more for the thrifty), alcohol
    .10 (.21; most never buy any), brand score .43 (.06; rises with prices). ``netto`` and ``brand`` are the weight and
    the score of the customer's average purchase, ``own`` and ``alcohol`` are shares of the purchases.
    """
    size = len(traits)
    basket = -0.1 * frequency(traits["orders"].to_numpy()) - 0.15 * older(traits["age"].to_numpy())
    basket += np.sqrt(1 - 0.1**2 - 0.15**2) * rng.standard_normal(size)
    prices = rng.standard_normal(size)

    rows = np.maximum(_lognormal(6.4, 3.7, basket), 1)
    man, evening = (traits["gender"] == 1).to_numpy(), (1 - traits["afternoon"]).to_numpy()
    taste = np.exp(0.5 * man + 0.2 * prices + evening)
    alcohol = taste * rng.gamma(0.34, 0.082 / 0.34, size)
    return {
        "rows": rows,
        "prices": _lognormal(1.004, 0.33, prices),
        "own": np.minimum(_lognormal(0.152, 0.053, _correlated(rng, -prices, 0.3)), 0.6),
        "alcohol": np.minimum(alcohol / rows, 0.3),
        "netto": _lognormal(0.452, 0.172, _correlated(rng, basket, 0.3)),
        "brand": 0.43 + 0.044 * _correlated(rng, prices, 0.5),
    }


def _loyalty_card(rng: np.random.Generator, traits: pd.DataFrame) -> Columns:
    """When the card was issued and points were first redeemed, in whole seconds from the campaign (negative: before).

    Issued 728.46 (162.14) days ago, within 714 days like X5's dates of issue. The first redemption follows after an
    exponential wait, shorter for frequent customers; a customer whose wait is longer than the card's age has not
    redeemed when the campaign starts (11 %). So truncated, the wait is 224.39 (199.67) days, and the first redemption
    504.07 (244.63) days ago; both SDs are smaller here (188 and 227).
    """
    issued = CARD_WINDOW_CENTRE + CARD_WINDOW_HALF * (2 * rng.beta(2.22, 1.17, len(traits)) - 1)
    wait = 300 * np.exp(-0.2 * frequency(traits["orders"].to_numpy())) * rng.standard_exponential(len(traits))
    seconds = np.rint(-issued * DAY).astype(np.int64)
    return {"issued": seconds, "redeemed": seconds + np.rint(wait * DAY).astype(np.int64)}


def _points(rng: np.random.Generator, traits: pd.DataFrame) -> Columns:
    """How often points are spent and express points received, and the rate of regular points.

    Poisson numbers of exponential amounts, over n_orders: most customers have none, and the extremes are among the rare
    shoppers. Spent points are zero or negative: express -.66 (2.61), zero for three quarters; regular about -4 (7),
    zero for two fifths. Customers who never redeemed have spent none. Express points received .04 (.49), zero for
    nearly all; regular ones 4.58 (4.79), about .93 % of what is paid.
    """
    size, orders, redeems = len(traits), traits["orders"].to_numpy(), (traits["redeemed"] < 0).to_numpy()
    return {
        "regular_redemptions": rng.poisson(redeems * 0.075 * orders),
        "express_redemptions": rng.poisson(redeems * 0.295),
        "express_gifts": rng.poisson(0.023, size),
        "generosity": _lognormal(1.0, 0.58, rng.standard_normal(size)),
    }


def _correlated(rng: np.random.Generator, factor: Floats, loading: float) -> Floats:
    """Standard normal with correlation ``loading`` to the standard normal ``factor``."""
    noise = rng.standard_normal(len(factor))
    return loading * factor + float(np.sqrt(1 - loading**2)) * noise


def _lognormal(mean: float, sd: float, z: Floats) -> Floats:
    """Lognormal with this mean m and SD at the standard normal ``z``: m·exp(s·z - s²/2), s² = log(1 + (SD/m)²)."""
    variance = np.log1p((sd / mean) ** 2)
    values: Floats = mean * np.exp(np.sqrt(variance) * z - variance / 2)
    return values
