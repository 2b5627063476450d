"""All figures of `evaluate`, under the names of their files."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from promotions.plots.evaluation.figures import (
    policy_values,
    profit_by_cost_ratio,
    profit_by_share,
    profit_table,
    qini,
    uplift_by_decile,
)
from promotions.plots.evaluation.heterogeneity import affected, calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pictures_of_evaluation(
    tables: Mapping[str, pd.DataFrame], *, ratio: float, shown: str, simulated: bool
) -> dict[str, "Callable[[], Figure]"]:
    """Functions that draw the figures of ``evaluate``, by file name. ratio: today's.  shown: learners with curves."""
    by_ratio, deciles = tables["profit_by_cost_ratio"], tables["uplift_by_decile"]
    drawn: dict[str, Callable[..., Figure]] = {
        "policy_values": partial(policy_values, tables["policy_values"]),
        "profit_by_cost_ratio": partial(profit_by_cost_ratio, by_ratio, ratio=ratio, shaded=shown),
        "profit_table": partial(profit_table, tables["profit_table"], ratio=ratio),
        "profit_by_share": partial(profit_by_share, tables["profit_by_share"]),
        "qini": partial(qini, tables["qini"]),
        "uplift_by_decile": partial(uplift_by_decile, deciles),
        "calibration": partial(calibration, deciles),
        "affected": partial(affected, tables["affected"], learner=shown),
    }
    return {name: partial(draw, simulated=simulated) for name, draw in drawn.items()}
