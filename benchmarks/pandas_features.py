"""The 26 features of the earlier study of X5, computed with pandas, for comparison with `promotions.purchases`.

The code is as in a notebook, with columns chosen and typed at reading, so that the comparison is fair.
"""

from pathlib import Path

import numpy as np
import pandas as pd

STUDY_FEATURES = [
    "age", "fis_transformed", "frd_transformed", "fis_frd_dist", "gender_F", "gender_M", "gender_U", "n_orders",
    "avg_paid_per_order", "products_per_order", "avg_netto_per_order", "avg_regular_points_received_per_order",
    "express_points_received_per_order", "regular_points_spent_per_order", "express_points_spent_per_order",
    "avg_trademarks", "avg_trademarks_per_order", "avg_alcohol_products_per_order", "is_weekend", "night_share",
    "morning_share", "afternoon_share", "evening_share", "brand_score", "trn_sum_from_red", "trn_sum_from_iss",
]  # fmt: skip
POINTS = {
    "regular_points_received": "avg_regular_points_received_per_order",
    "express_points_received": "express_points_received_per_order",
    "regular_points_spent": "regular_points_spent_per_order",
    "express_points_spent": "express_points_spent_per_order",
}
HOURS = {"night_share": (0, 6), "morning_share": (6, 12), "afternoon_share": (12, 18), "evening_share": (18, 24)}


def read_folder(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Clients, products and purchases from CSV files in X5's layout."""
    clients = pd.read_csv(folder / "clients.csv", dtype={"client_id": str})
    products = pd.read_csv(
        folder / "products.csv",
        usecols=["product_id", "brand_id", "netto", "is_own_trademark", "is_alcohol"],
        dtype={"product_id": str, "brand_id": str},
    )
    ids = ["client_id", "transaction_id", "product_id"]
    purchases = pd.read_csv(
        folder / "purchases.csv",
        usecols=[*ids, "transaction_datetime", *POINTS, "purchase_sum", "trn_sum_from_iss", "trn_sum_from_red"],
        dtype=dict.fromkeys(ids, str),
        parse_dates=["transaction_datetime"],
    )
    return clients, products, purchases


def study_features(
    clients: pd.DataFrame,
    products: pd.DataFrame,
    purchases: pd.DataFrame,
    campaign: pd.Timestamp,
    ages: tuple[float, float] = (14, 100),
) -> pd.DataFrame:
    """One row a client, sorted by ``client_id``; definitions as in data/dictionary.csv."""
    log = purchases[purchases["transaction_datetime"] < campaign]
    sizes = products["brand_id"].value_counts()
    products = products.assign(brand_score=np.log(products["brand_id"].map(sizes)) / np.log(sizes.max()))
    log = log.merge(products.drop(columns="brand_id"), on="product_id", how="left")
    log["on_weekend"] = log["transaction_datetime"].dt.day_of_week >= 5

    orders = log.groupby(["client_id", "transaction_id"]).agg(
        bought_at=("transaction_datetime", "first"),
        paid=("purchase_sum", "first"),
        **{name: (name, "first") for name in POINTS},
    )
    hour = orders["bought_at"].dt.hour
    for name, (start, end) in HOURS.items():
        orders[name] = (hour >= start) & (hour < end)
    by_client = orders.groupby("client_id")
    features = pd.DataFrame({"n_orders": by_client.size(), "avg_paid_per_order": by_client["paid"].mean()})
    features = features.join(by_client[list(POINTS)].mean().rename(columns=POINTS)).join(by_client[list(HOURS)].mean())

    rows = log.groupby("client_id")
    n_orders = features["n_orders"]
    features["products_per_order"] = rows.size() / n_orders
    features["avg_netto_per_order"] = rows["netto"].sum() / n_orders
    features["avg_trademarks"] = rows["is_own_trademark"].mean()
    features["avg_trademarks_per_order"] = rows["is_own_trademark"].sum() / n_orders
    features["avg_alcohol_products_per_order"] = rows["is_alcohol"].sum() / n_orders
    features["is_weekend"] = rows["on_weekend"].sum() / n_orders
    features["brand_score"] = rows["brand_score"].mean()
    sums = ["trn_sum_from_red", "trn_sum_from_iss"]
    features = features.join(rows[sums].sum())

    card = clients.set_index("client_id").sort_index()
    issued, redeemed = (pd.to_datetime(card[f"first_{what}_date"]) for what in ("issue", "redeem"))
    issued, redeemed = issued.where(issued < campaign), redeemed.where(redeemed < campaign)
    days = pd.Timedelta(days=1)
    profile = pd.DataFrame(
        {
            "age": card["age"].where(card["age"].between(*ages)),
            "fis_transformed": (campaign - issued) / days,
            "frd_transformed": (campaign - redeemed) / days,
            "fis_frd_dist": (redeemed - issued) / days,
            **{f"gender_{gender}": (card["gender"] == gender).astype(int) for gender in "FM"},
        }
    )
    profile["gender_U"] = 1 - profile["gender_F"] - profile["gender_M"]
    features = profile.join(features)
    zero = ["n_orders", *sums]
    features[zero] = features[zero].fillna(0)
    return features[STUDY_FEATURES].astype(float).reset_index()
