"""What a discount does, from a panel: one group gets it from some month on, one region from another month on.

Customers differ from month to month (repeated cross-sections). The difference in differences compares the change of
the treated with the change of the others,

    (E[y | treated, after] − E[y | treated, before]) − (E[y | others, after] − E[y | others, before]),

which is the effect on the treated if both would have changed alike without the discount (parallel trends) and nobody
expected the discount. The others must be controls. Customers whose treatment is unknown, and customers who are treated
otherwise, are no controls. Estimates with and without them stand side by side, labelled.

Who is treated from when: ``did_design``. Effects by month: ``event_study``; by cohort: ``group_time``; without parallel
trends: ``parallel_trends``.

Source: Angrist & Pischke (2009), ch. 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from promotions.discount.did.design import GROUP, OUTCOMES, REGION, Panel
from promotions.discount.did.regression import coefficient, regress, with_errors
from promotions.inference.multiplicity import holm

COMPARED = (*OUTCOMES, "profit_per_dollar", "sales_per_dollar")


@dataclass(frozen=True)
class Estimator:
    """A comparison: which rows, which regression, and what is wrong with it.

    formula: right-hand side; fixed: effects taken out; term: the coefficient that is the estimate.
    """

    name: str
    formula: str
    fixed: str
    term: str
    contaminated: bool
    why: str


def _estimators(name: str) -> tuple[Estimator, ...]:
    on, member = f"{name}_on", f"in_{name}"
    both = f"{member} + {on}"
    return (
        Estimator("before_after", "1", "", on, True, "all else that changed in the meantime counts as effect"),
        Estimator("cross_section", "1", "", member, True, "all else in which the treated differ counts as effect"),
        Estimator("did", both, "", "both", True, "unknown and otherwise treated customers are among the controls"),
        Estimator("did_known", both, "", "both", True, "otherwise treated customers are among the controls"),
        Estimator("did_clean", both, "", "both", False, ""),
        Estimator("did_clean_within", member, "cell", "both", False, ""),
    )


def compare_estimators(
    panel: Panel, outcomes: Sequence[str] = COMPARED, only: Sequence[str] | None = None
) -> pd.DataFrame:
    """The effect of having a discount, by every comparison, the contaminated ones labelled.

    before_after: the treated alone.  cross_section: treated less all others, after the discount began.  did: 2×2 of all
    rows, everybody who is not treated a control.  did_known: without customers whose group or region is missing.
    did_clean: without the otherwise treated too (of the group: the treated region's customers once it is treated; of
    the region: the treated group's customers).  did_clean_within (group alone): the same with effects of each region in
    each month, so that customers are compared with others of their region and month.

    One row an analysis (``treated``: group or region), ``estimator`` and ``outcome``: ``profit``, ``sales``,
    ``discount``, and ``profit_per_dollar``, ``sales_per_dollar``, the change of the outcome over that of the discount
    (two-stage least squares). ``error``, ``ci_low``, ``ci_high``, ``p_value`` suppose independent customers (HC1);
    ``classical_error`` also equal variances; ``clustered_…`` allow for anything shared within a region (CRV1, t with
    ``clusters`` − 1 degrees). They are few, and with a single treated region such an error means nothing and is left
    out (NaN). An estimate without variance has the error 0.

    outcomes, only: which outcomes and estimators; None for all estimators.
    """
    estimates = []
    for name in panel.analyses:
        every = panel.rows.assign(both=panel.rows[f"in_{name}"] * panel.rows[f"{name}_on"])
        clean = panel.clean[name].assign(both=panel.clean[name][f"in_{name}"] * panel.clean[name][f"{name}_on"])
        chosen = {
            "before_after": every[every[f"in_{name}"] == 1],
            "cross_section": every[every[f"{name}_on"] == 1],
            "did": every,
            "did_known": every[every["known"]],
            "did_clean": clean,
            "did_clean_within": clean,
        }
        for estimator in _estimators(name):
            if (estimator.name == "did_clean_within" and name == REGION) or (only and estimator.name not in only):
                continue
            for outcome in outcomes:
                numbers = _estimate(estimator, outcome, chosen[estimator.name], clustered=name == GROUP)
                head = {
                    "treated": name,
                    "estimator": estimator.name,
                    "contaminated": estimator.contaminated,
                    "why": estimator.why,
                    "outcome": outcome,
                }
                estimates.append(head | numbers)
    return pd.DataFrame(estimates)


def _estimate(estimator: Estimator, outcome: str, rows: pd.DataFrame, *, clustered: bool) -> dict[str, float]:
    fixed = f" | {estimator.fixed}" if estimator.fixed else ""
    rows = rows.reset_index(drop=True)
    if outcome.endswith("_per_dollar"):
        term = "discount"
        formula = f"{outcome.removesuffix('_per_dollar')} ~ {estimator.formula}{fixed} | discount ~ {estimator.term}"
    else:
        term = estimator.term
        controls = "" if estimator.formula == "1" else f" + {estimator.formula}"
        formula = f"{outcome} ~ {term}{controls}{fixed}"
    fit = regress(formula, rows)
    numbers = {"customers": float(len(rows)), "clusters": float(rows.loc[rows["place"] >= 0, "place"].nunique())}
    numbers |= coefficient(fit, term)
    numbers["classical_error"] = coefficient(with_errors(fit, "iid"), term)["error"]
    spread = {"clustered_error": np.nan, "clustered_ci_low": np.nan, "clustered_ci_high": np.nan}
    if clustered and numbers["clusters"] > 1:
        clustered_numbers = coefficient(with_errors(fit, {"CRV1": "place"}), term, "clustered_")
        spread = {key: clustered_numbers[key] for key in spread}
    return numbers | spread


def composition(panel: Panel, columns: Sequence[str]) -> pd.DataFrame:
    """Did the customers themselves change? The clean difference in differences of columns that no discount can change.

    ``treated, column, estimate, error, p_value, p_value_holm``: with repeated cross-sections a change of the customers
    would look like an effect. Errors HC1; Holm (1979) over all rows.

    columns: numeric columns of the panel, such as age and tenure.
    """
    differences = []
    for name in panel.analyses:
        rows = panel.clean[name].assign(both=panel.clean[name][f"in_{name}"] * panel.clean[name][f"{name}_on"])
        for column in columns:
            complete = rows[rows[column].notna()].reset_index(drop=True)
            complete = complete.assign(value=complete[column].astype(np.float64))
            fit = regress(f"value ~ both + in_{name} + {name}_on", complete)
            numbers = coefficient(fit, "both")
            differences.append(
                {"treated": name, "column": column} | {k: numbers[k] for k in ("estimate", "error", "p_value")}
            )
    frame = pd.DataFrame(differences, columns=["treated", "column", "estimate", "error", "p_value"])
    return frame.assign(p_value_holm=holm(frame["p_value"].to_numpy(dtype=np.float64)))


def means_by_month(panel: Panel) -> pd.DataFrame:
    """Mean outcome of every month: ``treated, side, month, outcome, mean, error, customers``.

    side: ``treated``, ``controls`` (clean ones), and for the group ``unknown``, who are no controls.
    """
    means = []
    for name in panel.analyses:
        rows = panel.clean[name]
        sides = {"treated": rows[rows[f"in_{name}"] == 1], "controls": rows[rows[f"in_{name}"] == 0]}
        if name == GROUP:
            sides["unknown"] = panel.rows[~panel.rows["known"]]
        for side, part in sides.items():
            for outcome in OUTCOMES:
                table = part.groupby("month")[outcome].agg(["mean", "sem", "size"]).reset_index()
                table = table.rename(columns={"sem": "error", "size": "customers"}).fillna({"error": 0.0})
                means.append(table.assign(treated=name, side=side, outcome=outcome))
    columns = ["treated", "side", "month", "outcome", "mean", "error", "customers"]
    return pd.concat(means, ignore_index=True)[columns]
