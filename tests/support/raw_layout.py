"""Folders in the layout of X5: a small simulated one, and the real purchase histories where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from promotions.sources import simulated

SHARED = Path(__file__).parents[3] / "shared" / "data" / "x5"
needs_x5 = pytest.mark.skipif(
    not (SHARED / "check_queries.tsv").is_file(), reason=f"the real files of X5 RetailHero are not in {SHARED}"
)
PER_ROW = ["regular_points_received", "express_points_received", "regular_points_spent", "express_points_spent"]

Layout = dict[str, pd.DataFrame]


def small_layout(customers: int = 1000, seed: int = 3) -> Layout:
    """A simulated retailer's tables."""
    pieces: dict[str, list[pa.Table]] = {}
    for name, piece in simulated.load({"customers": customers}, np.random.default_rng(seed)):
        pieces.setdefault(name, []).append(piece)
    return {name: pa.concat_tables(parts).to_pandas() for name, parts in pieces.items()}


def real_histories() -> Layout:
    """The 101 public purchase histories of X5, in the layout of the raw files; what they lack is empty."""
    clients, purchases = [], []
    for line in (SHARED / "check_queries.tsv").read_text().splitlines():
        query = json.loads(line.split("\t")[0])
        client = query["client_id"]
        clients.append({"client_id": client, "age": query["age"], "gender": query["gender"]})
        for number, receipt in enumerate(query["transaction_history"]):
            repeated = {
                "client_id": client,
                "transaction_id": f"{client}-{number}",
                "transaction_datetime": receipt["datetime"].replace("T", " "),
                "store_id": receipt["store_id"],
                "purchase_sum": receipt["purchase_sum"],
                **{name: receipt[name] for name in PER_ROW},
            }
            purchases += [
                repeated | {"product_id": product["product_id"], "product_quantity": product["quantity"]}
                for product in receipt["products"]
            ]
    labels = pd.read_csv(SHARED / "uplift_train.csv", dtype={"client_id": str})
    people = pd.DataFrame(clients)
    return {
        "clients": people.assign(first_issue_date="", first_redeem_date=""),
        "products": pd.read_csv(SHARED / "products.csv", dtype=str),
        "purchases": pd.DataFrame(purchases).assign(trn_sum_from_iss="", trn_sum_from_red=""),
        "uplift_train": labels[labels["client_id"].isin(people["client_id"])],
    }


def write_layout(folder: Path, layout: Layout) -> Path:
    """The tables as CSV files, but for the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in layout.items():
        if name != "truth":
            table.to_csv(folder / f"{name}.csv", index=False)
    return folder
