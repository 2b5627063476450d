"""Read the experiment's source as it is.

reads   the file named in data.<source>.path (the simulated source reads nothing)
writes  data/ingested/<table>.parquet, data/truth/customers.parquet (without rows where the truth is unknown)
"""

from pathlib import Path

import pandas as pd

import stage
from promotions.sources import get_source


def main() -> None:
    """Load raw tables from the source and set the truth apart."""
    name = stage.params("data", "source")
    source = get_source(name)
    tables = source.load(stage.section("data", name), stage.generator("ingest"))
    truth = tables.pop("truth", pd.DataFrame({"customer_id": [], "mu0": [], "tau": []}))
    Path("data/ingested").mkdir(parents=True, exist_ok=True)
    for table, frame in tables.items():
        stage.write_parquet(f"data/ingested/{table}.parquet", frame)
    stage.write_parquet("data/truth/customers.parquet", truth)
    stage.say(f"{name}: " + ", ".join(f"{table} {len(frame):,} rows" for table, frame in tables.items()))


if __name__ == "__main__":
    stage.run(main, __doc__)
