"""Receipts and their rows: time, store, products, prices and points."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from promotions.sources.simulated.catalogue import Catalogue, Pool
from promotions.sources.simulated.identifiers import Strings, string_column
from promotions.sources.simulated.shoppers import CAMPAIGN_DATE, DAY, LOG_DAYS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LOG_START = CAMPAIGN_DATE - pd.Timedelta(days=LOG_DAYS)
WEEKEND = (LOG_START.day_of_week + np.arange(LOG_DAYS)) % 7 >= 5
SIZE_DISPERSION = 3.0
NEARBY_STORES = 4
POINTS_PER_MONEY = 0.0093
GIFT, EXPRESS, REGULAR = 16.2, 26.9, 72.0  # mean points of one event
# Shares of the quantities in X5's histories; quantity 0 means weighed goods.
QUANTITIES = {1: 0.731, 2: 0.146, 0: 0.055, 3: 0.031, 4: 0.0175, 5: 0.0112, 6: 0.0055, 10: 0.0028}
QUANTITY_OF_DRAW = np.repeat(
    np.array([*QUANTITIES], np.int8), np.diff(np.rint(2**16 * np.cumsum([0, *QUANTITIES.values()])).astype(int))
)


@dataclass(frozen=True)
class Rows:
    """The products on the receipts, in the order of the receipts. total: the sum of each receipt before redemption."""

    product: Integers
    quantity: NDArray[np.int8]
    sums: Floats
    total: Floats


def draw_visits(rng: np.random.Generator, traits: pd.DataFrame) -> pd.DataFrame:
    """One row a receipt, by customer and time.

    customer: its row in ``traits``. time: seconds from the campaign, negative. weekend: Saturday or Sunday. store:
    number of the store, home for most. rows: products on the receipt, 1 + Poisson with a gamma mean.
    """
    orders = traits["orders"].to_numpy()
    customer = np.repeat(np.arange(len(traits)), orders)
    of = {name: traits[name].to_numpy()[customer] for name in ("first_day", "last_day", "weekend", "home", "loyal")}
    at_weekend = rng.random(len(customer)) < of["weekend"]
    day = _day(rng, at_weekend, of["first_day"], of["last_day"])
    time = (day - LOG_DAYS) * DAY + _second_of_day(rng, traits, customer)
    order = np.argsort(customer * (LOG_DAYS * DAY) + time, kind="stable")

    elsewhere = rng.random(len(customer)) >= of["loyal"]
    extra = (traits["rows"].to_numpy() - 1)[customer] / SIZE_DISPERSION
    return pd.DataFrame(
        {
            "customer": customer,
            "time": time[order],
            "weekend": at_weekend[order],
            "store": of["home"] + elsewhere * rng.integers(1, NEARBY_STORES, len(customer), endpoint=True),
            "rows": 1 + rng.poisson(extra * rng.standard_gamma(SIZE_DISPERSION, len(customer))),
        }
    )


def draw_rows(rng: np.random.Generator, traits: pd.DataFrame, visits: pd.DataFrame, catalogue: Catalogue) -> Rows:
    """Products by the customer's tastes for the pools and by popularity in the pool; sums in whole money.

    A row's sum is the product's price × the quantity (weighed goods: × 1) × the customer's price level, 1 or more.
    """
    sizes = visits["rows"].to_numpy()
    rows_of_customer = np.bincount(visits["customer"], sizes).astype(np.int64)
    count = int(sizes.sum())

    limits = _taste_limits(traits, catalogue)
    draw = rng.random(count)
    pool = np.zeros(count, np.int64)
    for limit in limits[:, 1:-1].T:
        pool += draw >= np.repeat(limit, rows_of_customer)
    # The position of the draw within the pool's share is uniform again, and picks the product.
    cell = pool + np.repeat(np.arange(len(traits)) * limits.shape[1], rows_of_customer)
    lower, upper = limits.ravel()[cell], limits.ravel()[cell + 1]
    inside = np.minimum((draw - lower) / (upper - lower), 1 - 1e-9)
    product = np.minimum(np.searchsorted(catalogue.quantile, pool + inside, side="right"), len(catalogue.price) - 1)

    quantity = QUANTITY_OF_DRAW[rng.integers(0, 2**16, count, dtype=np.uint16)]
    sums = catalogue.price[product] * np.repeat(traits["prices"].to_numpy(), rows_of_customer)
    sums = np.maximum(np.rint(sums * np.maximum(quantity, 1)), 1)
    return Rows(product, quantity, sums, np.add.reduceat(sums, np.cumsum(sizes) - sizes))


def move_points(rng: np.random.Generator, traits: pd.DataFrame, visits: pd.DataFrame, total: Floats) -> pd.DataFrame:
    """``visits`` with the money paid and the points of each receipt. Whole points are spent, at most the receipt's sum.

    Events fall on random receipts; spending before the customer's first redemption does not take place. Regular points
    are received for what is paid, in tenths.
    """
    customer = visits["customer"].to_numpy()
    generosity = traits["generosity"].to_numpy()
    started = visits["time"].to_numpy() >= traits["redeemed"].to_numpy()[customer]
    regular = _place(rng, traits["regular_redemptions"], REGULAR * np.sqrt(generosity), visits)
    express = _place(rng, traits["express_redemptions"], np.full(len(traits), EXPRESS), visits)
    regular = np.minimum(regular * started, total)
    express = np.minimum(express * started, total - regular)
    paid = total - regular - express
    return visits.assign(
        regular_points_received=np.round(POINTS_PER_MONEY * generosity[customer] * paid, 1),
        express_points_received=_place(rng, traits["express_gifts"], np.full(len(traits), GIFT), visits),
        regular_points_spent=0 - regular,  # a bare minus would turn 0 into -0.0
        express_points_spent=0 - express,
        purchase_sum=paid,
    )


def purchases_table(
    client: Strings, transaction: Strings, store: Strings, receipts: pd.DataFrame, rows: Rows, catalogue: Catalogue
) -> pa.Table:
    """X5's purchase log: one row a product on a receipt. client, store: ids by number; transaction: ids by receipt.

    trn_sum_from_red divides the money paid among the rows of receipts with redemptions, and is null on the others.
    """
    receipt = np.repeat(np.arange(len(receipts)), receipts["rows"])
    redeemed = receipts["purchase_sum"].to_numpy() < rows.total
    paid_share = receipts["purchase_sum"].to_numpy() / rows.total
    moment = pa.array(CAMPAIGN_DATE.value // 10**9 + receipts["time"].to_numpy()[receipt])
    columns = {
        "client_id": string_column(client[receipts["customer"].to_numpy()[receipt]]),
        "transaction_id": string_column(transaction[receipt]),
        "transaction_datetime": moment.cast(pa.timestamp("s")),
    }
    for name in (
        "regular_points_received",
        "express_points_received",
        "regular_points_spent",
        "express_points_spent",
        "purchase_sum",
    ):
        columns[name] = pa.array(receipts[name].to_numpy()[receipt])
    columns |= {
        "store_id": string_column(store[receipts["store"].to_numpy() % len(store)][receipt]),
        "product_id": string_column(catalogue.identifier[rows.product]),
        "product_quantity": pa.array(rows.quantity.astype(np.float64)),
        "trn_sum_from_iss": pa.array(rows.sums),
        "trn_sum_from_red": pa.array(np.round(rows.sums * paid_share[receipt], 2), mask=~redeemed[receipt]),
    }
    return pa.table(columns)


def _day(rng: np.random.Generator, at_weekend: NDArray[np.bool_], first: Integers, last: Integers) -> Integers:
    """A day of the log from ``first`` to before ``last``, uniform among its weekend days or its weekdays."""
    draw = rng.random(len(first))
    days = np.empty(len(first), np.int64)
    for kind in (True, False):
        chosen = at_weekend == kind
        calendar = np.flatnonzero(kind == WEEKEND)
        start, end = np.searchsorted(calendar, first[chosen]), np.searchsorted(calendar, last[chosen])
        days[chosen] = calendar[start + (draw[chosen] * (end - start)).astype(np.int64)]
    return days


def _second_of_day(rng: np.random.Generator, traits: pd.DataFrame, customer: Integers) -> Integers:
    """Quarter of the day by the customer's habit; uniform within it, but nights near and evenings soon after six."""
    draw, within = rng.random(len(customer)), rng.random(len(customer))
    quarter = np.zeros(len(customer), np.int64)
    for limit in ("night", "morning", "afternoon"):
        quarter += draw >= traits[limit].to_numpy()[customer]
    within = np.select([quarter == 0, quarter == 3], [1 - within**3, within**3], within)
    return quarter * (DAY // 4) + np.minimum((within * (DAY // 4)).astype(np.int64), DAY // 4 - 1)


def _taste_limits(traits: pd.DataFrame, catalogue: Catalogue) -> Floats:
    """Cumulated shares of the pools in the purchases of each customer: n × 7, from 0 to 1.

    Alcohol and own trademarks have the customer's shares. Among the other purchases, the shares of famous brands and of
    heavy goods make the average purchase have the customer's brand score and netto, in this catalogue.
    """
    alcohol, own_trademarks = traits["alcohol"].to_numpy(), traits["own"].to_numpy()
    remaining = 1 - alcohol - own_trademarks

    def second_share(excess: Floats, first: Floats, second: Floats) -> Floats:
        """Share s of the second kind in the others that makes the excess over the customer's mean zero on average."""
        fixed = (alcohol * excess[:, Pool.ALCOHOL] + own_trademarks * excess[:, Pool.OWN]) / remaining
        return np.clip((first + fixed) / (first - second), 0.02, 0.98)

    score = catalogue.branded * (catalogue.brand - traits["brand"].to_numpy()[:, None])
    famous = second_share(
        score,
        score[:, [Pool.NICHE_LIGHT, Pool.NICHE_HEAVY]].mean(axis=1),
        score[:, [Pool.FAMOUS_LIGHT, Pool.FAMOUS_HEAVY]].mean(axis=1),
    )
    weight = catalogue.netto - traits["netto"].to_numpy()[:, None]
    heavy = second_share(
        weight,
        (1 - famous) * weight[:, Pool.NICHE_LIGHT] + famous * weight[:, Pool.FAMOUS_LIGHT],
        (1 - famous) * weight[:, Pool.NICHE_HEAVY] + famous * weight[:, Pool.FAMOUS_HEAVY],
    )
    niche = 1 - famous
    shares = [np.zeros(len(traits)), alcohol, own_trademarks]
    shares += [
        remaining * niche * (1 - heavy),
        remaining * niche * heavy,
        remaining * famous * (1 - heavy),
        remaining * famous * heavy,
    ]
    limits = np.cumsum(np.column_stack(shares), axis=1)
    limits[:, -1] = 1
    return limits


def _place(rng: np.random.Generator, events: pd.Series, amount: Floats, visits: pd.DataFrame) -> Floats:
    """Whole points per receipt: each customer's events have exponential sizes, and fall on random receipts."""
    who = np.repeat(np.arange(len(events)), events)
    orders = np.bincount(visits["customer"], minlength=len(events))
    first = np.cumsum(orders) - orders
    receipt = first[who] + (rng.random(len(who)) * orders[who]).astype(np.int64)
    points = np.ceil(rng.standard_exponential(len(who)) * amount[who])
    return np.bincount(receipt, points, minlength=len(visits)).astype(np.float64)
