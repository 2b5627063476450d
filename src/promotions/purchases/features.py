"""Features of customers from a raw purchase log: one pass over the log, then one view a group of features."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import duckdb
import pandas as pd

from promotions.base.errors import InputError
from promotions.purchases.audit import audit
from promotions.purchases.raw import AMOUNT, Connection, RawFile, reading
from promotions.purchases.settings import MEMORY_KEY, Settings

CLIENTS = {
    "client_id": "VARCHAR",
    "first_issue_date": "TIMESTAMP_S",
    "first_redeem_date": "TIMESTAMP_S",
    "age": "DOUBLE",
    "gender": "VARCHAR",
}
PRODUCTS = {
    "product_id": "VARCHAR",
    "level_1": "VARCHAR",
    "level_2": "VARCHAR",
    "brand_id": "VARCHAR",
    "netto": "DOUBLE",
    "is_own_trademark": "INTEGER",
    "is_alcohol": "INTEGER",
}
PURCHASES = {
    "client_id": "VARCHAR",
    "transaction_id": "VARCHAR",
    "transaction_datetime": "TIMESTAMP_S",
    "regular_points_received": AMOUNT,
    "express_points_received": AMOUNT,
    "regular_points_spent": AMOUNT,
    "express_points_spent": AMOUNT,
    "purchase_sum": AMOUNT,
    "store_id": "VARCHAR",
    "product_id": "VARCHAR",
    "product_quantity": AMOUNT,
    "trn_sum_from_iss": AMOUNT,
    "trn_sum_from_red": AMOUNT,
}
# Groups of features, each a view in the file of that name in sql/. A customer without purchases has no row in them.
GROUPS = ("card", "activity", "basket", "assortment", "points", "habits", "stores")
# Features that are 0, not missing, for a customer without purchases.
ZERO_WITHOUT_ORDERS = (
    "n_orders",
    *(f"{what}_last_{days}_days" for what in ("orders", "paid") for days in (7, 30, 90)),
    "paid_total",
    "categories_bought",
    "regular_points_saved",
    "trn_sum_from_red",
    "trn_sum_from_iss",
    "stores_visited",
)
SECONDS_BETWEEN_REPORTS = 0.2


@dataclass(frozen=True)
class Features:
    """frame: ``client_id`` and features.  counts, notes: see ``audit``."""

    frame: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def customer_features(
    clients: RawFile,
    products: RawFile,
    purchases: RawFile,
    settings: Settings,
    progress: Callable[[float], object] | None = None,
) -> Features:
    """One row a client of ``clients``, in the order of ``client_id``, with the features of data/dictionary.csv.

    progress: called now and then with the share of the log that is read, 0 to 1.
    Raises InputError naming file, column and rows for what cannot be read or does not fit together.
    """
    with _database(settings) as connection:
        for table, file, types in (("clients", clients, CLIENTS), ("products", products, PRODUCTS)):
            with reading(connection, file, types):
                connection.execute(f"CREATE TABLE {table} AS {file.scan(types)}")
        for script in ("numbered", "catalogue"):
            _run(connection, script)
        connection.execute(f"CREATE VIEW purchases AS {purchases.scan(PURCHASES)}")
        # DuckDB cannot know how long a CSV file is, and may otherwise build the hash table of a join on the log.
        connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        with reading(connection, purchases, PURCHASES), _reported(connection, progress or _silent):
            _run(connection, "receipts")
        connection.execute("RESET disabled_optimizers")
        _run(connection, "audit")
        counts, notes = audit(connection, clients, products, purchases, settings)
        for script in ("orders", *GROUPS):
            _run(connection, script)
        with reading(connection, purchases, PURCHASES):
            return Features(_collect(connection), counts, notes)


@contextmanager
def _database(settings: Settings) -> Iterator[Connection]:
    """An empty database in memory, which spills to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="purchases-") as folder:
        try:
            connection = duckdb.connect(
                config={
                    "threads": settings.threads,
                    "memory_limit": settings.memory,
                    "temp_directory": folder,
                    "preserve_insertion_order": False,
                }
            )
        except duckdb.Error as problem:
            raise InputError(
                f"{MEMORY_KEY}: {settings.memory!r} is not an amount of memory such as 1GB ({problem})"
            ) from None
        try:
            connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
            connection.execute("SET VARIABLE campaign = $1::TIMESTAMP", [settings.campaign])
            connection.execute("SET VARIABLE youngest = $1::DOUBLE", [settings.ages[0]])
            connection.execute("SET VARIABLE oldest = $1::DOUBLE", [settings.ages[1]])
            yield connection
        finally:
            connection.close()


def _silent(share: float) -> None:
    """Progress that nobody watches."""


def _run(connection: Connection, name: str) -> None:
    """Execute sql/<name>.sql."""
    connection.execute((resources.files("promotions.purchases") / "sql" / f"{name}.sql").read_text())


@contextmanager
def _reported(connection: Connection, progress: Callable[[float], object]) -> Iterator[None]:
    """Call ``progress`` with the share of the running statement that is done."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(SECONDS_BETWEEN_REPORTS):
            progress(min(max(connection.query_progress(), 0.0) / 100, 1.0))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
    progress(1.0)


def _collect(connection: Connection) -> pd.DataFrame:
    """The groups side by side, every feature a double. One group is computed at a time."""
    columns: dict[str, Any] = {}
    for group in GROUPS:
        names = [row[0] for row in connection.execute(f"SELECT column_name FROM (DESCRIBE {group})").fetchall()]
        chosen = ["client_id"] if not columns else []
        for name in names[1:]:  # the first is the client's number
            value = f"CAST({name} AS DOUBLE)"
            chosen.append(f"{f'coalesce({value}, 0)' if name in ZERO_WITHOUT_ORDERS else value} AS {name}")
        joined = f"SELECT {', '.join(chosen)} FROM numbered LEFT JOIN {group} USING (client) ORDER BY client"
        columns |= {str(name): column for name, column in connection.execute(joined).df().items()}
    return pd.DataFrame(columns, copy=False)
