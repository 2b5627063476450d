"""A simulated grocery retailer's randomised SMS, in the shape of X5 RetailHero, with the truth known.

X5 sent a promotional SMS to half of its customers by lot and watched whether they bought. This module draws customers
like those: the features of the earlier study (customer level), a fair coin for the SMS, a binary ``target``, and for
each customer the two numbers no real experiment shows: mu0 = P(buys | no SMS) and tau = P(buys | SMS) - mu0.

The features are drawn as they come about: a person makes orders, orders have baskets, a card collects points, points
are spent. So totals are sums, shares are counts over orders, and zeros are customers to whom it did not happen.

Calibrated on facts about X5: control means and SDs of the study, arm rates of the public labels, issue dates in the
sample of clients, rows and customers of the purchase log, shapes in 101 public purchase histories. Docstrings give the
target as mean (SD): large draws meet means to 3 %, SDs to 10 %. The two intercepts were solved once on a draw of
4 million; all constants are fixed, so mu0 and tau are the same functions of the features at every size and seed.
"""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from promotions.customers import Customers
from promotions.errors import InputError
from promotions.validation import require_keys

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

MIN_CUSTOMERS = 1_000
PROPENSITY = 0.5
TYPICAL_AGE = 46.0
AGE_OUTLIER_SHARE = 0.012
MEDIAN_ORDERS = 13.4
LOG_ORDERS_SD = 0.8
CARD_WINDOW_CENTRE, CARD_WINDOW_HALF = 617, 357
RESPONSE_INTERCEPT = 0.12220
EFFECT_INTERCEPT = 0.01381


def load(params: Mapping[str, Any], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Draw ``params["customers"]`` customers: the raw table ``customers`` and the ``truth`` about them.

    Rows are independent and identically distributed: neither their order nor ``client_id`` tells anything.
    Raises InputError if ``params`` holds another key, or a number of customers that is no integer of 1,000 or more.
    """
    size = _checked_size(params)
    features = pd.DataFrame(_demographics(rng, size))
    for block in (_orders, _baskets, _loyalty_card, _points):
        features = features.assign(**block(rng, features))
    features["age"] = features["age"].mask(rng.random(size) < AGE_OUTLIER_SHARE)

    mu0, mu1 = response_probabilities(features)
    treated = rng.random(size) < PROPENSITY
    target = rng.random(size) < np.where(treated, mu1, mu0)
    ids = [f"{number:010x}" for number in rng.choice(16**10, size=size, replace=False)]
    experiment = {"client_id": ids, "treatment_flg": treated.astype(np.int8), "target": target.astype(np.int8)}
    return {
        "customers": pd.concat([pd.DataFrame(experiment), features], axis="columns"),
        "truth": pd.DataFrame({"customer_id": ids, "mu0": mu0, "tau": mu1 - mu0}),
    }


def to_customers(tables: Mapping[str, pd.DataFrame], params: Mapping[str, Any]) -> Customers:  # noqa: ARG001 (protocol)
    """The simulated experiment in the roles of ``promotions.customers``; every other column is a feature."""
    roles = {"client_id": "customer_id", "treatment_flg": "treatment", "target": "outcome"}
    frame = tables["customers"].rename(columns=roles)
    frame = frame.astype({"outcome": np.float64, "gender": "category"})
    frame.insert(3, "propensity", PROPENSITY)
    return Customers(frame, simulated=True)


def response_probabilities(features: pd.DataFrame) -> tuple[Floats, Floats]:
    """P(buys) without and with the SMS: mu0 = expit(r), mu1 = expit(r + d), r of ``_response``, d of ``_effect``.

    By the bounds on r and d both lie in (.04, .99).
    """
    index = _response(features)
    return expit(index), expit(index + _effect(features))


def _demographics(rng: np.random.Generator, size: int) -> Columns:
    """Age 14 + 81·Beta in whole years, mean 46.46 (SD 16); gender F .38 / M .16 / U .46, men rather among the young."""
    age = np.floor(14 + 81 * rng.beta(2.07, 3.02, size))
    female, male = 0.38 + 0.03 * _older(age), 0.16 - 0.03 * _older(age)
    draw = rng.random(size)
    return {"age": age, "gender": np.select([draw < female, draw < female + male], ["F", "M"], "U")}


def _orders(rng: np.random.Generator, customers: pd.DataFrame) -> Columns:
    """How often and when: the number of orders, those at weekends, and the share of each time of day.

    n_orders: lognormal in whole orders with mean 18.5 (45,786,568 log rows / 400,162 customers / 6.2 rows an order).
    is_weekend: Poisson(.252·n_orders^.7), mean 1.81 (SD 1.80). Shares: counts over n_orders, multinomial with Dirichlet
    probabilities, as customers have habits; older customers come in the morning.
    """
    older = _older(customers["age"].to_numpy())
    frequency = rng.standard_normal(len(older))
    orders = np.maximum(np.rint(MEDIAN_ORDERS * np.exp(LOG_ORDERS_SD * frequency)), 1).astype(np.int64)
    weekend = np.minimum(rng.poisson(0.252 * orders**0.7), orders)

    habit = np.outer(np.ones(len(older)), [0.06, 1.4, 1.4, 0.2]) * np.exp(np.outer(older, [0.0, 0.25, -0.15, -0.5]))
    habit = rng.standard_gamma(habit)
    times = rng.multinomial(orders, habit / habit.sum(axis=1, keepdims=True)) / orders[:, None]
    shares = dict(zip(("night_share", "morning_share", "afternoon_share", "evening_share"), times.T, strict=True))
    return {"n_orders": orders, "is_weekend": weekend, **shares}


def _baskets(rng: np.random.Generator, customers: pd.DataFrame) -> Columns:
    """What an order holds. Two factors drive it: the size of the basket and the level of prices.

    Frequent and older customers fill smaller baskets. Per order: paid 494.55 (371.18), netto 3.10 (2.65), regular
    points received 4.58 (4.79), own trademarks .97 (.77), alcohol .10 (.21; Poisson counts, so half never buy any).
    ``avg_trademarks`` is the own trademarks' share of the products. brand_score .43 (.06) rises with prices.
    """
    orders = customers["n_orders"].to_numpy()
    basket = -0.1 * _frequency(orders) - 0.15 * _older(customers["age"].to_numpy())
    basket += np.sqrt(1 - 0.1**2 - 0.15**2) * rng.standard_normal(len(orders))
    prices = rng.standard_normal(len(orders))
    spending = 0.8 * basket + 0.6 * prices

    products = np.maximum(_lognormal(6.4, 3.9, basket), 1)
    own_share = np.minimum(_lognormal(0.152, 0.067, _correlated(rng, -prices, 0.3)), 1)
    man, evening = (customers["gender"] == "M").to_numpy(), customers["evening_share"].to_numpy()
    taste = np.exp(0.5 * man + 0.2 * prices + evening)
    alcohol = rng.poisson(orders * taste * rng.gamma(0.36, 0.082 / 0.36, len(orders)))
    return {
        "avg_paid_per_order": _lognormal(494.55, 371.18, spending),
        "products_per_order": products,
        "avg_netto_per_order": _lognormal(3.10, 2.65, _correlated(rng, basket, 0.85)),
        "avg_regular_points_received_per_order": _lognormal(4.58, 4.79, _correlated(rng, spending, 0.9)),
        "avg_trademarks": own_share,
        "avg_trademarks_per_order": own_share * products,
        "avg_alcohol_products_per_order": alcohol / orders,
        "brand_score": 0.43 + 0.06 * _correlated(rng, prices, 0.5),
    }


def _loyalty_card(rng: np.random.Generator, customers: pd.DataFrame) -> Columns:
    """Days since the card was issued and since points were first redeemed, and the days between the two.

    Issued 728.46 (162.14) days ago, within 714 days (April 2017 to March 2019). The first redemption follows after an
    exponential wait, shorter for frequent customers; who has to wait longer than the card is old has never redeemed:
    missing (11 %). So truncated, the wait is 224.39 (199.67) days, and the first redemption 504.07 (244.63) days ago;
    both SDs fall short (188 and 227).
    """
    issued = CARD_WINDOW_CENTRE + CARD_WINDOW_HALF * (2 * rng.beta(2.22, 1.17, len(customers)) - 1)
    wait = 300 * np.exp(-0.2 * _frequency(customers["n_orders"].to_numpy())) * rng.standard_exponential(len(customers))
    wait = np.where(wait < issued, wait, np.nan)
    return {"fis_transformed": issued, "frd_transformed": issued - wait, "fis_frd_dist": wait}


def _points(rng: np.random.Generator, customers: pd.DataFrame) -> Columns:
    """Points spent and express points received per order, and the sums of all orders and of those with redemptions.

    A Poisson number of redemptions, each of an exponential amount, over n_orders: most customers have none, and the
    extremes are among the rare shoppers. Spent points are zero or negative: express -.66 (2.61), zero for three
    quarters; regular about -4 (8), zero for two fifths. Who never redeemed has spent none. Express points received
    .04 (.49), zero for nearly all.
    """
    orders = customers["n_orders"].to_numpy()
    redeems = customers["frd_transformed"].notna().to_numpy()
    generosity = np.sqrt(customers["avg_regular_points_received_per_order"].to_numpy() / 4.58)
    regular = rng.poisson(redeems * 0.075 * orders)
    express = rng.poisson(redeems * 0.28)
    received = rng.poisson(0.025, len(orders))
    regular_spent = _total(rng, regular, 66.0) * generosity / orders
    express_spent = _total(rng, express, 26.6) / orders
    bought = orders * (customers["avg_paid_per_order"].to_numpy() + regular_spent + express_spent)
    return {
        "express_points_received_per_order": _total(rng, received, 15.2) / orders,
        "regular_points_spent_per_order": 0 - regular_spent,  # a bare minus would turn 0 into -0.0
        "express_points_spent_per_order": 0 - express_spent,
        "trn_sum_from_red": bought * (np.minimum(regular + express, orders) / orders),
        "trn_sum_from_iss": bought,
    }


def _response(features: pd.DataFrame) -> Floats:
    """Log-odds of buying without the SMS: habit decides (frequency, redemptions, weekends), then the card.

    r = r0 + 2·tanh(f/2) + .6·tanh(regular points spent/8) + .5·tanh(weekends/4) + .3·tenure - .5·1{never redeemed},
    f the standardised log of n_orders, tenure the card's age scaled to (-1, 1). So -2.7 < r < 3.6; the mean of
    expit(r) is .6033, the control group's rate, and its AUC for the response .75.
    """
    habit = 2 * np.tanh(_frequency(features["n_orders"].to_numpy()) / 2)
    redeeming = np.tanh(-features["regular_points_spent_per_order"].to_numpy() / 8)
    weekends = np.tanh(features["is_weekend"].to_numpy() / 4)
    tenure = (features["fis_transformed"].to_numpy() - CARD_WINDOW_CENTRE) / CARD_WINDOW_HALF
    never = features["frd_transformed"].isna().to_numpy()
    return RESPONSE_INTERCEPT + habit + 0.6 * redeeming + 0.5 * weekends + 0.3 * tenure - 0.5 * never


def _effect(features: pd.DataFrame) -> Floats:
    """What the SMS adds to the log-odds: most for the old who do not spend express points already.

    d = d0 + .02·older + saved·(.16 + .32·expit((age - 67)/2)) - .22·1{n_orders <= 4} + .04·1{products > 8, woman},
    saved = exp(express points spent/2), which is 1 if none were spent and falls towards 0; a missing age counts as
    typical. So -.3 < d < .7. Falling in express points and rising in age as in the study, and as steep as its gains:
    the mean of tau is .0332, that of the best 8, 16 and 32 % about .10, .08 and .06; 8 % are harmed.
    """
    age = features["age"].fillna(TYPICAL_AGE).to_numpy()
    saved = np.exp(features["express_points_spent_per_order"].to_numpy() / 2)
    senior = expit((age - 67) / 2)
    rare = (features["n_orders"] <= 4).to_numpy()
    family = ((features["products_per_order"] > 8) & (features["gender"] == "F")).to_numpy()
    effect: Floats = (
        EFFECT_INTERCEPT + 0.02 * _older(age) + saved * (0.16 + 0.32 * senior) - 0.22 * rare + 0.04 * family
    )
    return effect


def _older(age: Floats) -> Floats:
    """Age standardised."""
    return (age - TYPICAL_AGE) / 16


def _frequency(orders: NDArray[np.int64]) -> Floats:
    """Standardised log of the number of orders."""
    frequency: Floats = np.log(orders / MEDIAN_ORDERS) / LOG_ORDERS_SD
    return frequency


def _correlated(rng: np.random.Generator, factor: Floats, loading: float) -> Floats:
    """Standard normal with correlation ``loading`` to the standard normal ``factor``."""
    noise = rng.standard_normal(len(factor))
    return loading * factor + float(np.sqrt(1 - loading**2)) * noise


def _lognormal(mean: float, sd: float, z: Floats) -> Floats:
    """Lognormal with this mean m and SD at the standard normal ``z``: m·exp(s·z - s²/2), s² = log(1 + (SD/m)²)."""
    variance = np.log1p((sd / mean) ** 2)
    values: Floats = mean * np.exp(np.sqrt(variance) * z - variance / 2)
    return values


def _total(rng: np.random.Generator, times: NDArray[np.int64], amount: float) -> Floats:
    """Sum of ``times`` exponential amounts with this mean; 0 where there are none."""
    return rng.standard_gamma(times) * amount


def _checked_size(params: Mapping[str, Any]) -> int:
    """The number of customers, or an InputError that names the key."""
    require_keys(params, ["customers"], "data.simulated")
    size = params["customers"]
    if isinstance(size, bool) or not isinstance(size, Integral) or size < MIN_CUSTOMERS:
        raise InputError(f"data.simulated.customers: expected an integer of {MIN_CUSTOMERS:,} or more, got {size!r}")
    return int(size)
