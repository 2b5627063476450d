"""The products of the simulated shops: categories, brands, weights, popularity and prices.

Calibrated on X5's list: 43,038 products in 3 / 42 / 201 / 790 nested categories, 4,296 brands (two giants with
4,344 and 3,071 products, median 3, a quarter with one), 3,193 vendors, 12 % without a brand, 3.5 % own trademarks,
5.6 % alcohol, netto with the quantiles .04 / .15 / .30 / .50 / 1.00 at 5 / 25 / 50 / 75 / 95 %.
"""

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from promotions.sources.simulated.identifiers import Identifiers, Strings, string_column

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PRODUCTS, BRANDS, VENDORS, SEGMENTS = 43_038, 4_296, 3_193, 116
LEVELS = (3, 42, 201, 790)
OWN, ALCOHOL, UNBRANDED, WITHOUT_SEGMENT = 0.0352, 0.0556, 0.1208, 0.0365
SECOND_BRAND, LARGE_BRAND = 3_071, 60
NETTO_SHARES = (0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.80, 0.85, 0.90, 0.95, 0.99, 0.999, 1)
NETTO_QUANTILES = (0.005, 0.012, 0.039, 0.065, 0.14, 0.30, 0.50, 0.54, 0.75, 0.98, 1.02, 1.69, 5.0, 20.0)
ROUND_NETTO = 0.7
BOTTLES = (0.45, 0.5, 0.7, 0.75, 1.0)
HEAVY = 0.7
POPULARITY_SHIFT = 10.0


class Pool(IntEnum):
    """Kinds of product for which customers have tastes; famous: the two giant brands, heavy: a netto above .7."""

    ALCOHOL = 0
    OWN = 1
    NICHE_LIGHT = 2
    NICHE_HEAVY = 3
    FAMOUS_LIGHT = 4
    FAMOUS_HEAVY = 5


# The average customer's cost of a purchase of the average product, by pool.
POOL_PRICES = {
    Pool.ALCOHOL: 170.0,
    Pool.OWN: 43.0,
    Pool.NICHE_LIGHT: 57.0,
    Pool.NICHE_HEAVY: 64.0,
    Pool.FAMOUS_LIGHT: 51.0,
    Pool.FAMOUS_HEAVY: 58.0,
}


@dataclass(frozen=True)
class Catalogue:
    """The products in the order of their pools.

    table: as in X5's file, in the order of the ids. identifier, price: of each product. quantile: the product bought is
    the first whose ``quantile`` exceeds pool + u, u uniform. By pool, over purchases: the mean netto, the share of
    branded products and their mean brand score (see ``brand_scores``).
    """

    table: pa.Table
    identifier: Strings
    price: Floats
    quantile: Floats
    netto: Floats
    branded: Floats
    brand: Floats


def draw_catalogue(rng: np.random.Generator) -> Catalogue:
    """All products. Popularity within a pool falls as 1/(rank + 10), with random ranks."""
    brand, kind = _brands(rng)
    netto = _netto(rng, kind)
    score = brand_scores(brand)
    famous, heavy = score > 0.9, netto > HEAVY
    pool = np.select([kind == Pool.ALCOHOL, kind == Pool.OWN], [0, 1], Pool.NICHE_LIGHT + 2 * famous + heavy)

    order = np.lexsort((rng.random(PRODUCTS), pool))
    brand, kind, netto, score, pool = brand[order], kind[order], netto[order], score[order], pool[order]

    def by_pool(values: Floats) -> Floats:
        return np.bincount(pool, values).astype(np.float64)

    sizes = np.bincount(pool)
    rank = np.arange(PRODUCTS) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    popularity = 1 / (rank + 1 + POPULARITY_SHIFT)
    popularity /= by_pool(popularity)[pool]
    price = np.clip(netto, 0.1, 2) ** 0.35 * np.exp(0.6 * rng.standard_normal(PRODUCTS))
    # Scaled, so that a few expensive best-sellers do not make a whole run expensive.
    price *= np.array([POOL_PRICES[each] for each in Pool])[pool] / by_pool(popularity * price)[pool]
    scored = popularity * ~np.isnan(score)

    identifier = Identifiers(rng).take(PRODUCTS)
    columns = {"product_id": string_column(identifier), **_categories(rng, kind == Pool.ALCOHOL)}
    columns |= {
        "brand_id": _named(rng, brand, brand < 0),
        "vendor_id": _named(rng, _vendors(rng, brand)),
        "netto": pa.array(netto),
        "is_own_trademark": pa.array((kind == Pool.OWN).astype(np.int8)),
        "is_alcohol": pa.array((kind == Pool.ALCOHOL).astype(np.int8)),
    }
    return Catalogue(
        table=pa.table(columns).take(pa.array(np.argsort(identifier))),
        identifier=identifier,
        price=price,
        quantile=np.cumsum(popularity),
        netto=by_pool(popularity * netto),
        branded=by_pool(scored),
        brand=by_pool(scored * np.nan_to_num(score)) / by_pool(scored),
    )


def brand_scores(brand: Integers) -> Floats:
    """ln(products of the brand)/ln(products of the largest brand) of each product; NaN without a brand, -1."""
    sizes = np.bincount(brand[brand >= 0])
    return np.where(brand < 0, np.nan, np.log(np.maximum(sizes, 1))[brand] / np.log(sizes.max()))


def _brands(rng: np.random.Generator) -> tuple[Integers, Integers]:
    """The brand of each product (-1: none; 0 and 1 the giants) and whether it is alcohol, an own trademark or neither.

    Sizes: quantiles of a lognormal law with median 3, log-SD 1.304; the first giant takes what is left. Whole brands
    are own trademarks or alcohol: as many small ones, in random order, as make up these shares of the products.
    """
    branded = round(PRODUCTS * (1 - UNBRANDED))
    steps = (np.arange(BRANDS - 2) + 0.5) / (BRANDS - 2)
    small = np.maximum(np.rint(3.0 * np.exp(1.304 * ndtri(steps))), 1).astype(np.int64)
    # Large brands come last, so that the brand at the end of a share misses it by little.
    small = rng.permutation(small)
    small = small[np.argsort(small > LARGE_BRAND, kind="stable")]
    reached = np.cumsum(small) / branded
    kinds = np.select([reached < OWN, reached < OWN + ALCOHOL], [Pool.OWN, Pool.ALCOHOL], Pool.NICHE_LIGHT)
    sizes = np.concatenate([[branded - SECOND_BRAND - small.sum(), SECOND_BRAND], small])
    kinds = np.concatenate([[Pool.NICHE_LIGHT, Pool.NICHE_LIGHT], kinds])

    without = PRODUCTS - branded
    draw = rng.random(without)
    loose = np.select([draw < OWN, draw < OWN + ALCOHOL], [Pool.OWN, Pool.ALCOHOL], Pool.NICHE_LIGHT)
    brand = np.concatenate([np.repeat(np.arange(BRANDS), sizes), np.full(without, -1)])
    return brand, np.concatenate([np.repeat(kinds, sizes), loose])


def _netto(rng: np.random.Generator, kind: Integers) -> Floats:
    """Weight of each product by X5's quantiles, mostly in whole twentieths; alcohol comes in bottles."""
    netto = np.exp(np.interp(rng.random(PRODUCTS), NETTO_SHARES, np.log(NETTO_QUANTILES)))
    coarse = (netto >= 0.1) & (rng.random(PRODUCTS) < ROUND_NETTO)
    netto = np.where(coarse, np.rint(netto * 20) / 20, np.round(netto, 3))
    return np.where(kind == Pool.ALCOHOL, rng.choice(BOTTLES, PRODUCTS), netto)


def _vendors(rng: np.random.Generator, brand: Integers) -> Integers:
    """A small brand has one vendor, some vendors have several; giants and brandless products come from anywhere."""
    others = rng.integers(0, VENDORS, BRANDS - 2 - VENDORS)
    vendor_of_small = rng.permutation(np.concatenate([np.arange(VENDORS), others]))
    anywhere = rng.choice(vendor_of_small, len(brand))
    return np.where(brand < 2, anywhere, vendor_of_small[brand - 2])


def _categories(rng: np.random.Generator, alcohol: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Four nested levels and the segment. Alcohol fills one category of the second level, and only that."""
    parents = [_parents(rng, above, below) for above, below in pairwise(LEVELS)]
    second = parents[1][parents[2]]
    weights = np.exp(1.7 * rng.standard_normal(LEVELS[3]))
    fourth = np.empty(PRODUCTS, np.int64)
    for rows, leaves in ((alcohol, second == 0), (~alcohol, second != 0)):
        leaves = np.flatnonzero(leaves)
        drawn = rng.choice(leaves, rows.sum() - len(leaves), p=weights[leaves] / weights[leaves].sum())
        fourth[rows] = rng.permutation(np.concatenate([leaves, drawn]))
    levels = [parents[0][second[fourth]], second[fourth], parents[2][fourth], fourth]
    columns = {f"level_{number}": _named(rng, level) for number, level in enumerate(levels, start=1)}
    segments = np.sort(rng.choice(np.arange(1, 322), SEGMENTS, replace=False)).astype(np.float64)
    segment = segments[_parents(rng, SEGMENTS, LEVELS[3])][fourth]
    return {**columns, "segment_id": pa.array(segment, mask=rng.random(PRODUCTS) < WITHOUT_SEGMENT)}


def _parents(rng: np.random.Generator, above: int, below: int) -> Integers:
    """The parent of each category of the lower level; every parent has at least one child."""
    return rng.permutation(np.concatenate([np.arange(above), rng.integers(0, above, below - above)]))


def _named(rng: np.random.Generator, numbers: Integers, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Identifiers for ``numbers`` 0, 1, …, the same number with the same identifier."""
    names = string_column(Identifiers(rng).take(int(numbers.max()) + 1))
    return names.take(pa.array(numbers, mask=missing))
