"""A retailer's raw files in the layout of X5 RetailHero: clients, products, purchases, and who was treated.

X5 published 400,162 clients, 45,786,568 rows of purchases, and for 200,039 clients whether they got an SMS, by lot, and
whether they bought (ods.ai/competitions/x5-retailhero-uplift-modeling). `load` reads and checks the small tables; the
log of purchases stays where it is, and `to_customers` aggregates it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from promotions.base.errors import InputError
from promotions.base.validation import require_choice, require_keys, require_number
from promotions.customers import Customers
from promotions.purchases import RawFile, Settings, customer_features, find_file
from promotions.purchases.features import CLIENTS, PRODUCTS, PURCHASES
from promotions.purchases.raw import reading
from promotions.sources.ingested import Ingested

KEY = "data.x5"
PARAMS = ("directory", "campaign_date", "propensity", "ages", "unknown_clients")
LABELS = {"client_id": "VARCHAR", "treatment_flg": "DOUBLE", "target": "DOUBLE"}
TO_SCORE = {"client_id": "VARCHAR"}
KNOWN = {"clients": CLIENTS, "products": PRODUCTS}


def load(params: Mapping[str, Any], rng: np.random.Generator) -> Iterator[tuple[str, pa.Table]]:  # noqa: ARG001
    """The small tables in ``params["directory"]``: ids are unique, and all customers labelled or to score are clients.

    Raises InputError naming file, column and rows.
    """
    reading_settings(params)
    directory = _directory(params)
    find_log(directory)  # so that its absence is reported at once
    clients_file, clients = _read(_find(directory, "clients", CLIENTS), CLIENTS, "client_id")
    yield "clients", clients
    yield "products", _read(_find(directory, "products", PRODUCTS), PRODUCTS, "product_id")[1]
    train_file, train = _read(_find(directory, "uplift_train", LABELS), LABELS, "client_id")
    client_ids, labelled = (pd.Index(table["client_id"].to_pandas()) for table in (clients, train))
    _stop_on(labelled[client_ids.get_indexer(labelled) < 0], train_file, f"are not in {clients_file}")
    yield "uplift_train", train
    test = find_file(directory, "uplift_test", f"{KEY}.directory", TO_SCORE)
    if test is not None:
        test_file, to_score = _read(test, TO_SCORE, "client_id")
        unlabelled = pd.Index(to_score["client_id"].to_pandas())
        _stop_on(unlabelled[client_ids.get_indexer(unlabelled) < 0], test_file, f"are not in {clients_file}")
        _stop_on(unlabelled[labelled.get_indexer(unlabelled) >= 0], test_file, f"are in {train_file} too")
        yield "uplift_test", to_score


def to_customers(tables: Ingested, params: Mapping[str, Any]) -> Customers:
    """The labelled clients with the features of their purchases before the campaign."""
    propensity = require_number(params["propensity"], f"{KEY}.propensity", 0, 1, low_open=True, high_open=True)
    directory = _directory(params)
    files = {name: _find(directory, name, types) for name, types in KNOWN.items()}
    origins = {name: file.name for name, file in files.items()}
    customers = assemble(tables, find_log(directory), origins, propensity=float(propensity), **reading_settings(params))
    others = [column for column in files["clients"].columns if column not in CLIENTS]
    if not others:
        return customers
    unused = f"{origins['clients']}: column {', '.join(map(repr, others))} is not known in this layout: not used"
    return replace(customers, notes=(unused, *customers.notes))


def customers_to_score(
    directory: Path, settings: Settings, progress: Callable[[float], object] | None = None
) -> pd.DataFrame:
    """``customer_id`` and the features of the clients of uplift_test, or of all clients if there is no such file.

    directory: holds clients, products, purchases.  settings: what counts as before the new campaign.
    Raises InputError naming file, column and rows.
    """
    files = {name: _find(directory, name, types) for name, types in KNOWN.items()}
    log = find_log(directory)
    client_ids = pd.Index(_read(files["clients"], CLIENTS, "client_id")[1]["client_id"].to_pandas())
    _read(files["products"], PRODUCTS, "product_id")
    wanted = find_file(directory, "uplift_test", f"{KEY}.directory", TO_SCORE)
    features = customer_features(files["clients"], files["products"], log, settings, progress).frame
    features = features.rename(columns={"client_id": "customer_id"})
    if wanted is None:
        return features
    name, table = _read(wanted, TO_SCORE, "client_id")
    ids = pd.Index(table["client_id"].to_pandas())
    _stop_on(ids[client_ids.get_indexer(ids) < 0], name, f"are not in {files['clients'].name}")
    return features[features["customer_id"].isin(ids)].reset_index(drop=True)


def assemble(
    tables: Ingested,
    purchases: RawFile,
    origins: Mapping[str, str],
    *,
    propensity: float,
    simulated: bool = False,
    **settings: Any,
) -> Customers:
    """One row a labelled client: its arm, its response, and its features from before the campaign.

    origins: the files behind the tables of clients and products.  settings: of ``promotions.purchases.Settings``,
    without memory and threads.
    """
    clients, products = (RawFile(tables.path(name), origin=origins[name]) for name in KNOWN)
    reading_with = Settings(memory=tables.memory, threads=tables.threads, **settings)
    aggregated = customer_features(clients, products, purchases, reading_with, tables.progress)
    features = aggregated.frame.rename(columns={"client_id": "customer_id"})
    roles = {"client_id": "customer_id", "treatment_flg": "treatment", "target": "outcome"}
    labels = tables["uplift_train"][list(roles)].rename(columns=roles).assign(propensity=propensity)
    labelled = labels.merge(features, on="customer_id", how="left", validate="one_to_one")
    to_score = features.iloc[:0]
    if "uplift_test" in tables:
        to_score = features[features["customer_id"].isin(set(tables["uplift_test"]["client_id"]))]
    return Customers(
        labelled,
        simulated=simulated,
        to_score=to_score.reset_index(drop=True),
        counts=aggregated.counts | {"customers_without_purchases": int((labelled["n_orders"] == 0).sum())},
        notes=tuple(aggregated.notes),
    )


def find_log(directory: Path) -> RawFile:
    """The log of purchases in ``directory``."""
    return _find(directory, "purchases", PURCHASES)


def _find(directory: Path, stem: str, types: Mapping[str, str]) -> RawFile:
    file = find_file(directory, stem, f"{KEY}.directory", types)
    if file is None:
        there = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
        raise InputError(
            f"{KEY}.directory: {str(directory)!r} has no {stem}.csv (or .csv.gz, .parquet); "
            f"it holds {', '.join(there[:8]) if there else 'nothing'}"
        )
    return file


def _read(file: RawFile, types: Mapping[str, str], identifier: str) -> tuple[str, pa.Table]:
    """The file's name and its table; ``identifier`` is present and unique in every row."""
    with duckdb.connect() as connection, reading(connection, file, types):
        table: pa.Table = connection.sql(file.scan(types)).to_arrow_table()
    ids = table.column(identifier).to_pandas()
    if ids.empty:
        raise InputError(f"{file.name} has no rows; expected one row a {identifier.removesuffix('_id')}")
    if ids.isna().any():
        raise InputError(
            f"{file.name}: column {identifier!r} is missing in {int(ids.isna().sum()):,} of {len(ids):,} rows"
        )
    repeated = ids[ids.duplicated(keep=False)]
    if len(repeated):
        raise InputError(
            f"{file.name}: column {identifier!r} holds {repeated.nunique():,} ids more than once, in {len(repeated):,} "
            f"of {len(ids):,} rows (such as {repeated.iloc[0]!r}); keep one row a {identifier.removesuffix('_id')}"
        )
    return file.name, table


def _stop_on(wrong: "pd.Index[str]", file: str, what: str) -> None:
    """Raise if there are any wrong clients in ``file``."""
    if len(wrong):
        raise InputError(
            f"{file}: column 'client_id' holds {len(wrong):,} clients that {what} (such as {wrong[0]!r}); "
            "these files do not belong together"
        )


def _directory(params: Mapping[str, Any]) -> Path:
    directory = params["directory"]
    if not isinstance(directory, str) or not Path(directory).is_dir():
        raise InputError(
            f"{KEY}.directory: there is no folder {directory!r}; expected one with clients.csv, products.csv, "
            "purchases.csv and uplift_train.csv"
        )
    return Path(directory)


def reading_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """The checked values of ``data.x5`` for ``Settings``, without memory and threads. Raises InputError."""
    require_keys(params, PARAMS, KEY)
    ages = params["ages"]
    if not isinstance(ages, list) or len(ages) != 2:
        raise InputError(f"{KEY}.ages: expected the youngest and the oldest age that are believed, got {ages!r}")
    youngest, oldest = (require_number(age, f"{KEY}.ages", 0, 200) for age in ages)
    return {
        "campaign": moment_of(params["campaign_date"]),
        "ages": (float(youngest), float(oldest)),
        "unknown_clients": require_choice(params["unknown_clients"], ("stop", "drop"), f"{KEY}.unknown_clients"),
    }


def moment_of(value: object, key: str = f"{KEY}.campaign_date") -> datetime:
    """A day (its first second) or a moment. Raises InputError that begins with ``key``."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time())
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise InputError(
                f"{key}: expected a day such as 2019-03-19, got {value!r}; only purchases before it count"
            ) from None
    if moment.tzinfo is not None:
        raise InputError(f"{key}: give it without a time zone, on the clock of the log; got {value!r}")
    return moment
