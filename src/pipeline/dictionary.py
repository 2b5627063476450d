"""What features mean, in the words of data/dictionary.csv."""

import pandas as pd

# Sources whose features are made from purchases, as the dictionary describes them.
OF_PURCHASES = ("simulated", "x5")


def read_meanings(source: str) -> dict[str, tuple[str, str]]:
    """Meaning and unit of each feature made from purchases; empty for a source whose features the dictionary lacks."""
    if source not in OF_PURCHASES:
        return {}
    table = pd.read_csv("data/dictionary.csv").astype(str)
    return dict(zip(table["name"], zip(table["meaning"], table["unit"], strict=True), strict=True))
