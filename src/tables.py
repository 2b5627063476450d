"""The tables that several stages read, joined in the canonical order of customers."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import stage
from promotions.encoding import Encoder
from promotions.errors import InputError
from promotions.inference import cluster_codes
from promotions.splitting import PARTS, clusters_of


def read_features() -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The prepared customers and their matrix of encoded features."""
    customers = stage.read_parquet("data/prepared/customers.parquet")
    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    return customers, encoder.transform(customers)


def read_split(customer_id: "pd.Series[str]") -> pd.DataFrame:
    """``part`` and ``fold`` (−1 outside train) of the customers, in their order."""
    parts = [stage.read_parquet(f"data/split/{part}.parquet").assign(part=part) for part in PARTS]
    members = aligned(pd.concat(parts), customer_id, "data/split")
    return members[["part", "fold"]].fillna({"fold": -1}).astype({"fold": int})


def read_for(path: str, customer_id: "pd.Series[str]") -> pd.DataFrame:
    """The rows of the table at ``path`` for these customers, in their order."""
    return aligned(stage.read_parquet(path), customer_id, path)


def aligned(table: pd.DataFrame, customer_id: "pd.Series[str]", name: str) -> pd.DataFrame:
    """The rows of ``table`` for these customers, in their order."""
    positions = pd.Index(table["customer_id"]).get_indexer(pd.Index(customer_id))
    strangers = int((positions < 0).sum())
    if strangers:
        raise InputError(f"{name} lacks {strangers:,} of {len(customer_id):,} customers; run `dvc repro`")
    return table.iloc[positions].reset_index(drop=True)


def codes_of_clusters(customers: pd.DataFrame) -> NDArray[np.intp]:
    """Cluster codes of these customers; each customer alone where there is no cluster column."""
    return cluster_codes(clusters_of(customers["customer_id"], customers.get("cluster_id")))
