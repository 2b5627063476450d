"""Text that a spreadsheet shows and does not run."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# What makes a spreadsheet take a cell for a formula: OWASP, "CSV injection"; also as full-width characters.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# In front of a cell's text: spreadsheets take what follows for text.
MARK = "'"


def as_text(values: "pd.Series[str]") -> tuple["pd.Series[str]", NDArray[np.bool_]]:
    """The values, with an apostrophe before formulas, and a mask of the formulas, (n,).

    A number such as -5 is no formula.
    """
    text = values.astype(str)
    suspect = text.str.startswith(FORMULA) | text.str.lstrip().str.startswith(FORMULA)
    if suspect.any():
        number = pd.to_numeric(text[suspect].str.strip(), errors="coerce").notna()
        suspect.loc[number[number].index] = False
    return text.where(~suspect, MARK + text), suspect.to_numpy(bool)
