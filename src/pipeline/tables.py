"""The tables that several stages read, joined in the canonical order of customers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import stage
from promotions.base.encoding import Encoder
from promotions.base.errors import InputError
from promotions.base.names import ENSEMBLE
from promotions.base.splitting import PARTS, clusters_of
from promotions.inference.clusters import cluster_codes
from promotions.scores import Scores, make_scores

# Every learner's effects of every customer, written by the stage `ensemble`: customer_id, round, a column a learner.
EFFECTS = "data/effects.parquet"


def effect_names() -> list[str]:
    """The columns of ``EFFECTS`` that hold effects: the learners of params.yaml, and their mixture."""
    return [*stage.learners(), ENSEMBLE]


def read_features() -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The prepared customers and their matrix of encoded features."""
    customers = stage.read_parquet("data/prepared/customers.parquet")
    encoder = Encoder.from_json(stage.read_json("models/encoder.json"))
    return customers, encoder.transform(customers)


def read_split(customer_id: "pd.Series[str]") -> pd.DataFrame:
    """``part``, ``fold`` and ``segment`` of the customers, in their order."""
    parts = [stage.read_parquet(f"data/split/{part}.parquet").assign(part=part) for part in PARTS]
    return aligned(pd.concat(parts), customer_id, "data/split").drop(columns="customer_id")


@dataclass(frozen=True)
class Round:
    """One fitting: customers of earlier segments train, those of segment ``number`` are predicted. Masks, (n,)."""

    number: int
    train: NDArray[np.bool_]
    target: NDArray[np.bool_]


def rounds_of(split: pd.DataFrame) -> list[Round]:
    """The rounds that a split asks for: one with a holdout, one for each segment but the first if nested."""
    segment = split["segment"].to_numpy()
    return [Round(int(number), segment < number, segment == number) for number in np.unique(segment) if number > 0]


def read_round(path: str, number: int, customer_id: "pd.Series[str]") -> pd.DataFrame:
    """The rows that round ``number`` wrote to ``path`` for these customers, in their order."""
    table = stage.read_parquet(path)
    return aligned(table[table["round"] == number], customer_id, f"{path}, round {number},")


def read_unseen(path: str, scored: pd.DataFrame) -> pd.DataFrame:
    """The rows of the scored customers in the table at ``path``, each from the round that has not seen the customer.

    scored: ``customer_id`` and ``segment``.
    """
    table = stage.read_parquet(path)
    rounds = scored["segment"].to_numpy()
    pieces = [
        aligned(table[table["round"] == number], scored["customer_id"][rounds == number], path).set_index(
            np.flatnonzero(rounds == number)
        )
        for number in np.unique(rounds)
    ]
    return pd.concat(pieces).sort_index()


def read_for(path: str, customer_id: "pd.Series[str]") -> pd.DataFrame:
    """The rows of the table at ``path`` for these customers, in their order."""
    return aligned(stage.read_parquet(path), customer_id, path)


def aligned(table: pd.DataFrame, customer_id: "pd.Series[str]", name: str) -> pd.DataFrame:
    """The rows of ``table`` for these customers, in their order."""
    # Usually they are in that order already.
    if table["customer_id"].array.equals(customer_id.array):
        return table.reset_index(drop=True)
    positions = pd.Index(table["customer_id"]).get_indexer(pd.Index(customer_id))
    absent = int((positions < 0).sum())
    if absent:
        raise InputError(f"{name} lacks {absent:,} of {len(customer_id):,} customers; run `dvc repro`")
    return table.iloc[positions].reset_index(drop=True)


def scores_with(customers: pd.DataFrame, mu: pd.DataFrame) -> Scores:
    """Scores of these customers from their predictions ``mu0`` and ``mu1``, in their order."""
    return make_scores(
        customers["outcome"].to_numpy(),
        customers["treatment"].to_numpy(),
        customers["propensity"].to_numpy(),
        mu["mu0"].to_numpy(),
        mu["mu1"].to_numpy(),
    )


def codes_of_clusters(customers: pd.DataFrame) -> NDArray[np.intp]:
    """Cluster codes of these customers; without a cluster column, each customer is a cluster."""
    return cluster_codes(clusters_of(customers["customer_id"], customers.get("cluster_id")))
