"""The four real discount files, where they lie beside the project."""

from pathlib import Path

import pandas as pd
import pytest

SHARED = Path(__file__).parents[4] / "shared" / "data" / "discount"
FILES = {
    "observational": ("discounts_nonrandom.csv", ";"),
    "randomised": ("discounts_random.csv", ","),
    "cutoff": ("rdd_data.csv", ","),
    "panel": ("diff_in_diff.csv", ","),
}


@pytest.fixture(scope="session")
def real_tables() -> dict[str, pd.DataFrame]:
    """By role, with money as numbers and everything else as it stands in the file."""
    if not SHARED.is_dir():
        pytest.skip(f"the real discount files are not in {SHARED}")
    tables = {}
    for role, (name, separator) in FILES.items():
        table = pd.read_csv(SHARED / name, sep=separator)
        if not pd.api.types.is_numeric_dtype(table["discount"]):
            table["discount"] = table["discount"].str.replace(r"[^0-9.-]", "", regex=True).astype(float)
        tables[role] = table
    return tables
