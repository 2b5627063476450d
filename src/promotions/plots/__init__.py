"""Figures: a frame of points goes in, a matplotlib figure comes out. matplotlib is imported only when one is drawn."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from promotions.plots.figures import (
    balance,
    policy_values,
    profit_by_cost_ratio,
    profit_by_share,
    profit_table,
    qini,
    uplift_by_decile,
)
from promotions.plots.heterogeneity import affected, calibration
from promotions.plots.style import png_bytes, readable_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "affected",
    "balance",
    "calibration",
    "of_evaluation",
    "png_bytes",
    "policy_values",
    "profit_by_cost_ratio",
    "profit_by_share",
    "profit_table",
    "qini",
    "readable_name",
    "uplift_by_decile",
]


def of_evaluation(
    tables: Mapping[str, pd.DataFrame], *, ratio: float, shown: str, simulated: bool
) -> dict[str, "Figure"]:
    """The figures of ``evaluate`` under the names of their files. ratio: today's.  shown: whose curves are drawn."""
    return {
        "policy_values": policy_values(tables["policy_values"], simulated=simulated),
        "profit_by_cost_ratio": profit_by_cost_ratio(
            tables["profit_by_cost_ratio"], ratio=ratio, shaded=shown, simulated=simulated
        ),
        "profit_table": profit_table(tables["profit_table"], ratio=ratio, simulated=simulated),
        "profit_by_share": profit_by_share(tables["profit_by_share"], simulated=simulated),
        "qini": qini(tables["qini"], simulated=simulated),
        "uplift_by_decile": uplift_by_decile(tables["uplift_by_decile"], simulated=simulated),
        "calibration": calibration(tables["uplift_by_decile"], simulated=simulated),
        "affected": affected(tables["affected"], learner=shown, simulated=simulated),
    }
