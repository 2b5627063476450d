"""Many trials in one table."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.errors import InputError

# Profits closer than this, in revenues of a response per customer, are the same decisions added up in another order.
TIE = 1e-12


def summarise(trials: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Each policy at each ratio over the trials: frames of ``run_trial``, two or more.

    profit_mean, profit_sd   of the doubly robust profit over treating nobody, mean revenues of a response a customer
    ips_mean, ips_sd         the same by inverse propensity alone: unbiased too, and noisier
    contacts_mean, contacts_sd   by inverse propensity, of all tested customers together, in costs of a contact
    loss_share               share of trials that earned less than treating nobody
    win_share                share of trials in which nothing earned more; policies that tie at the top share it
    regret_mean              mean shortfall from the best of each trial (the best of noisy estimates, so too large)
    share_treated            mean
    true_mean, true_sd, true_win_share   the same from the true mean outcomes, where they are known

    SDs are over trials (n − 1); what they mean: see the package. Order: by ratio, then as the policies were listed.
    """
    stacked = pd.concat([table.assign(trial=number) for number, table in enumerate(trials)], ignore_index=True)
    if stacked["trial"].nunique() < 2:
        raise InputError("stability.trials: expected 2 trials or more; one has no spread")
    kinds = [name for name in ("dr", "ips", "true") if name in stacked]
    within = stacked.groupby(["trial", "ratio"])
    for name in kinds:
        best = within[name].transform("max")
        won = stacked[name] >= best - TIE
        stacked[f"{name}_won"] = won / won.groupby([stacked["trial"], stacked["ratio"]]).transform("sum")
        stacked[f"{name}_regret"] = best - stacked[name]
    stacked["lost"] = stacked["dr"] < -TIE
    stacked["contacts"] = stacked["ips"] * stacked["tested"] / stacked["value"]
    groups = stacked.groupby(["ratio", "policy"], sort=False)
    table = pd.DataFrame(
        {
            "value": groups["value"].first(),
            "profit_mean": groups["dr"].mean(),
            "profit_sd": groups["dr"].std(),
            "loss_share": groups["lost"].mean(),
            "win_share": groups["dr_won"].mean(),
            "regret_mean": groups["dr_regret"].mean(),
            "share_treated": groups["share_treated"].mean(),
            "ips_mean": groups["ips"].mean(),
            "ips_sd": groups["ips"].std(),
            "contacts_mean": groups["contacts"].mean(),
            "contacts_sd": groups["contacts"].std(),
        }
    )
    if "true" in kinds:
        table["true_mean"], table["true_sd"] = groups["true"].mean(), groups["true"].std()
        table["true_win_share"] = groups["true_won"].mean()
    table = table.reset_index()
    rule, _, learner = (table["policy"].str.partition(".")[part] for part in range(3))
    table.insert(3, "rule", rule.where(learner != "", "constant"))
    table.insert(4, "learner", learner)
    return table


def metrics(table: pd.DataFrame) -> dict[str, Any]:
    """metrics/stability.json: who is best at each ratio, then ratio → policy → numbers of ``summarise``."""
    named = table.drop(columns=["value", "rule", "learner"])
    by_ratio = {str(label): rows.drop(columns="ratio") for label, rows in named.groupby("ratio", sort=False)}
    return {
        "wins_most_often": {label: _first(rows, "win_share") for label, rows in by_ratio.items()},
        "highest_mean_profit": {label: _first(rows, "profit_mean") for label, rows in by_ratio.items()},
        **{label: rows.set_index("policy").to_dict(orient="index") for label, rows in by_ratio.items()},
    }


def _first(rows: pd.DataFrame, column: str) -> str:
    """The policy with the highest value; among equals the one with the higher profit, then the first."""
    order = np.lexsort((-rows["profit_mean"].to_numpy().round(12), -rows[column].to_numpy().round(12)))
    return str(rows["policy"].iloc[order[0]])
