"""A simulated grocery retailer's randomised SMS, in the raw layout of X5 RetailHero, with the truth.

X5 sent a promotional SMS to half of its customers by lot and watched whether they bought. This source simulates such
customers step by step: a person makes orders, orders have baskets, a card collects points, points are spent. It writes
what X5 published: products, clients, every row of every receipt, treatment and ``target``. For each customer it adds
the two numbers that no real experiment shows: mu0 = P(buys | no SMS) and tau = P(buys | SMS) - mu0.

It is calibrated on facts about X5: control means and SDs of the earlier study, arm rates of the public labels, issue
dates in the sample of clients, rows and customers of the purchase log, the list of products, shapes in 101 public
purchase histories. Docstrings give the target as mean (SD): large draws meet means to 3 %, SDs to 10 %.
"""

from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from promotions.base.errors import InputError
from promotions.base.validation import require_keys
from promotions.customers import Customers
from promotions.purchases import RawFile
from promotions.sources.ingested import Ingested
from promotions.sources.simulated.catalogue import draw_catalogue
from promotions.sources.simulated.identifiers import Identifiers, Strings, string_column
from promotions.sources.simulated.receipts import draw_rows, draw_visits, move_points, purchases_table
from promotions.sources.simulated.shoppers import CAMPAIGN_DATE, STORES, clients_table, draw_traits
from promotions.sources.simulated.truth import observed_features, response_probabilities
from promotions.sources.x5 import KNOWN, assemble

__all__ = ["CAMPAIGN_DATE", "load", "response_probabilities", "to_customers"]

MIN_CUSTOMERS = 1_000
PROPENSITY = 0.5
# A million rows of the log: small enough to bound memory, large enough for vectorised operations.
CUSTOMERS_AT_ONCE = 10_000


def load(params: Mapping[str, Any], rng: np.random.Generator) -> Iterator[tuple[str, pa.Table]]:
    """Draw ``params["customers"]`` customers: pieces of tables, each with its table's name, to be appended.

    ``products`` comes once; then ``clients``, ``purchases``, ``uplift_train`` and ``truth`` for every 10,000 customers.
    Customers are independent and identically distributed: their order and their ids carry no information.
    Raises InputError if ``params`` holds another key, or a number of customers that is no integer of 1,000 or more.
    """
    return _pieces(_checked_size(params), rng)


def to_customers(tables: Ingested, params: Mapping[str, Any]) -> Customers:  # noqa: ARG001 (protocol)
    """The simulated experiment; its features are aggregated from raw purchases, as for any other log."""
    log = RawFile(tables.path("purchases"), origin="purchases")
    return assemble(
        tables, log, {name: name for name in KNOWN}, propensity=PROPENSITY, simulated=True, campaign=CAMPAIGN_DATE
    )


def _pieces(size: int, rng: np.random.Generator) -> Iterator[tuple[str, pa.Table]]:
    catalogue = draw_catalogue(rng)
    yield "products", catalogue.table
    clients, transactions, stores = Identifiers(rng), Identifiers(rng), Identifiers(rng).take(STORES)
    for start in range(0, size, CUSTOMERS_AT_ONCE):
        traits = draw_traits(rng, min(CUSTOMERS_AT_ONCE, size - start))
        visits = draw_visits(rng, traits)
        rows = draw_rows(rng, traits, visits, catalogue)
        receipts = move_points(rng, traits, visits, rows.total)
        client = clients.take(len(traits))
        yield "clients", clients_table(client, traits)
        yield (
            "purchases",
            purchases_table(client, transactions.take(len(receipts)), stores, receipts, rows, catalogue),
        )
        yield from _experiment(rng, client, observed_features(traits, receipts))


def _experiment(rng: np.random.Generator, client: Strings, features: pd.DataFrame) -> Iterator[tuple[str, pa.Table]]:
    """A fair coin for the SMS, the response to it, and the truth."""
    mu0, mu1 = response_probabilities(features)
    treated = rng.random(len(client)) < PROPENSITY
    target = rng.random(len(client)) < np.where(treated, mu1, mu0)
    names = string_column(client)
    flags = {"treatment_flg": pa.array(treated.astype(np.int8)), "target": pa.array(target.astype(np.int8))}
    yield "uplift_train", pa.table({"client_id": names, **flags})
    yield "truth", pa.table({"customer_id": names, "mu0": pa.array(mu0), "tau": pa.array(mu1 - mu0)})


def _checked_size(params: Mapping[str, Any]) -> int:
    """The number of customers, or an InputError that names the key."""
    require_keys(params, ["customers"], "data.simulated")
    size = params["customers"]
    if isinstance(size, bool) or not isinstance(size, Integral) or size < MIN_CUSTOMERS:
        raise InputError(f"data.simulated.customers: expected an integer of {MIN_CUSTOMERS:,} or more, got {size!r}")
    return int(size)
