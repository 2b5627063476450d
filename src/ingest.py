"""Read the experiment's source unchanged.

reads   what data.<source> names: a file, a folder (the simulated source reads nothing)
writes  data/ingested/<table>.parquet, data/truth/customers.parquet (without rows where the truth is unknown)
        x5: the header of the purchases is checked, and the files stay in place
"""

import pandas as pd

from pipeline import stage
from promotions.sources import get_source

NO_TRUTH = pd.DataFrame({"customer_id": pd.Series(dtype=str), "mu0": 0.0, "tau": 0.0})


def main() -> None:
    """Load raw tables from the source, piece by piece, and write the truth to a separate file."""
    name = stage.params("data", "source")
    pieces = get_source(name).load(stage.section("data", name), stage.generator("ingest"))
    with stage.replacing_folder("data/ingested") as folder:
        rows = stage.write_pieces(folder, pieces)
        if "truth" not in rows:
            stage.write_pieces(folder, [("truth", NO_TRUTH)])
        with stage.replacing("data/truth/customers.parquet") as truth:
            (folder / "truth.parquet").replace(truth)
    rows.pop("truth", None)
    stage.say(f"{name}: " + ", ".join(f"{table} {count:,} rows" for table, count in rows.items()))


if __name__ == "__main__":
    stage.run(main, __doc__)
