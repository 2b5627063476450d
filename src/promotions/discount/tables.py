"""An estimated effect with its interval, and rows in an order that does not depend on the file."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from promotions.base.errors import InputError


def in_order_of_content(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows sorted by everything but ``row``, their place in the file.

    Folds and halves are drawn, and sums are added up, in this order, so the order of a file changes no digit.
    """
    return frame.sort_values([str(name) for name in frame if name != "row"], kind="stable", ignore_index=True)


def require_levels(dose: NDArray[np.float64], table: str) -> None:
    """Raise InputError unless the dose takes two values at least."""
    if len(dose) and np.ptp(dose) == 0:
        raise InputError(
            f"the {table} table: every discount is {dose[0]:g}; expected two levels at least, as one cannot be compared"
        )
