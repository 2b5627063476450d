"""What the figures of the doses are drawn from: long frames, one row a point."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from promotions.base.encoding import as_numbers, is_number
from promotions.discount.dose.choice import Menu, expected_profit
from promotions.discount.dose.value import rule_of
from promotions.discount.response.curves import Curves
from promotions.discount.response.learners import Floats
from promotions.discount.rules import RuleValue, constant
from promotions.discount.scores import DoseScores
from promotions.inference.clusters import Z_95

GROUPS = 4
PREDICTED, MEASURED = "predicted", "measured"


def telling_feature(customers: pd.DataFrame, features: list[str], gain: Floats) -> str:
    """The feature whose groups differ most in their gain: the largest share of its variance between them.

    The first of equal ones.
    """
    total = float(((gain - gain.mean()) ** 2).sum()) or 1.0

    def between(name: str) -> float:
        groups = pd.Series(gain).groupby(groups_of(customers[name]).to_numpy(), observed=True)
        return float((groups.size() * (groups.mean() - gain.mean()) ** 2).sum()) / total

    return max(features, key=lambda name: round(between(name), 9))


def groups_of(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Quarters of a number, in words such as ``27–30``; the three most frequent levels of a category and the rest."""
    if is_number(column):
        values = as_numbers(column)
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, GROUPS + 1), method="closest_observation"))
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(len(edges) - 2, 0))
        names = np.full(len(values), "missing", dtype=object)
        for number in np.unique(place):
            members = (place == number) & ~np.isnan(values)
            if members.any():
                low, high = values[members].min(), values[members].max()
                names[members] = f"{low:g}" if low == high else f"{low:g}–{high:g}"
        order = sorted(
            set(names), key=lambda name: (name == "missing", values[names == name].min() if name != "missing" else 0)
        )
    else:
        text = column.astype("string").fillna("missing")
        counts = text.value_counts()
        order = sorted(counts.index, key=lambda name: (-int(counts[name]), name))[: GROUPS - 1]
        names = np.where(text.isin(order), text, "other")
        order = [*order, "other"] if (names == "other").any() else order
    return pd.Series(pd.Categorical(names, categories=order, ordered=True))


def response_curves(
    customers: pd.DataFrame,
    feature: str,
    curves: Curves,
    learner: str,
    menu: Menu,
    margin: float,
    scores: DoseScores,
    champion: Floats,
) -> pd.DataFrame:
    """Profit against dose in groups of customers, predicted from the log and measured on the randomised customers.

    ``group, customers, kind, dose, profit, ci_low, ci_high, supported, given``. predicted: mean of margin·ŝ(d) − d at
    each level that the log has, and the share of the group for whom it is supported. measured: mean profit of
    those who got a dose of the menu, at its mean discount, with a 95 % interval, and the share of the group to whom the
    champion gives it.

    customers (n, …).  champion (n,): its doses.
    """
    group = groups_of(customers[feature])
    profit = margin * curves.sales[learner] - curves.levels
    supported = curves.supported.any(axis=0)
    place = menu.index_of(champion)
    rows = []
    for name in group.cat.categories:
        in_group = (group == name).to_numpy()
        for level in np.flatnonzero(supported):
            mean, share = float(profit[in_group, level].mean()), float(curves.supported[in_group, level].mean())
            rows.append((name, in_group.sum(), PREDICTED, menu.levels[level], mean, np.nan, np.nan, share, np.nan))
        for index, members in enumerate(menu.members):
            got = in_group & members[scores.level]
            given = float((place[in_group] == index).mean())
            if got.sum() > 1:
                seen = scores.profit[got]
                mean, error = float(seen.mean()), float(seen.std(ddof=1) / np.sqrt(got.sum()))
                middle = float(menu.levels[scores.level[got]].mean())
                low, high = mean - Z_95 * error, mean + Z_95 * error
                rows.append((name, in_group.sum(), MEASURED, middle, mean, low, high, np.nan, given))
    columns = ["group", "customers", "kind", "dose", "profit", "ci_low", "ci_high", "supported", "given"]
    return pd.DataFrame(rows, columns=columns).assign(feature=feature)


def profit_by_rule(values: Mapping[str, RuleValue], champion: str, menu: Menu) -> pd.DataFrame:
    """``policy, rule, name, dr, dr_ci_low, dr_ci_high, champion``, a row a rule; a constant is named by its levels."""
    constants = {constant(f"{label:g}"): menu.name(index) for index, label in enumerate(menu.labels)}
    return pd.DataFrame(
        [
            (
                policy, rule_of(policy), constants.get(policy, policy),
                value.dr.value, value.dr.ci_low, value.dr.ci_high, policy == champion,
            )
            for policy, value in values.items()
        ],
        columns=["policy", "rule", "name", "dr", "dr_ci_low", "dr_ci_high", "champion"],
    )  # fmt: skip


def leads_over_constants(values: Mapping[str, RuleValue]) -> pd.DataFrame:
    """``policy, constant, lead, lead_ci_low, lead_ci_high, lead_p_value``: of every rule over every constant dose."""
    return pd.DataFrame(
        [
            (policy, rival, lead.value, lead.ci_low, lead.ci_high, value.p_constants[rival])
            for policy, value in values.items()
            for rival, lead in value.versus_constants.items()
        ],
        columns=["policy", "constant", "lead", "lead_ci_low", "lead_ci_high", "lead_p_value"],
    )


def dose_distribution(menu: Menu, log_dose: Floats, champion: Floats) -> pd.DataFrame:
    """``dose, name, who, share``: of customers, by dose of the menu: the log's, the test's design, the champion's.

    A discount of the log counts to the nearest level, the lower of two equally near ones, but never to no discount. If
    that level is on no dose, the discount counts to none.
    """
    middles = (menu.levels[1:] + menu.levels[:-1]) / 2
    nearest = np.searchsorted(middles, log_dose, side="left")
    nearest += (log_dose > 0) & (menu.levels[nearest] == 0)
    rows = []
    for index, members in enumerate(menu.members):
        shares = {
            "the company's log": float(members[nearest].mean()),
            "randomised test": float(members @ menu.share),
            "champion": float((menu.index_of(champion) == index).mean()),
        }
        rows += [(float(menu.labels[index]), menu.name(index), who, share) for who, share in shares.items()]
    return pd.DataFrame(rows, columns=["dose", "name", "who", "share"])


def gain_of(curves: Curves, learner: str, menu: Menu, margin: float) -> Floats:
    """What the best supported dose is expected to earn over the lowest supported one, by a learner; (n,)."""
    expected = expected_profit(curves, learner, menu, margin)
    profit = np.where(expected.supported, expected.profit, -np.inf)
    rows = np.arange(len(profit))
    gain = profit.max(axis=1) - profit[rows, expected.reference]
    return np.where(expected.supported.any(axis=1), gain, 0.0)
