"""Raw purchases to customer features at the size of X5, and a comparison with pandas on a quarter of them.

It writes a simulated log of 45,786,568 rows as CSV (5 GB in a temporary folder, removed at the end). Then it measures,
in separate processes, the way from CSV files to a table of features: `promotions.purchases` on all of it; and on its
first quarter `promotions.purchases` (71 features) and pandas (the 26 features of the earlier study).

    PYTHONPATH=src python -m benchmarks.prepare [rows]
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from benchmarks.pandas_features import STUDY_FEATURES, read_folder, study_features
from promotions.purchases import Settings, customer_features, find_file
from promotions.purchases.features import CLIENTS, PRODUCTS, PURCHASES

ROWS = 45_786_568
ROWS_A_CUSTOMER = 114
CAMPAIGN = datetime(2019, 3, 19)
THREADS = 2
MEMORY = "400MB"
PLAIN = pa_csv.WriteOptions(quoting_style="none")
UNNAMED = pa_csv.WriteOptions(quoting_style="none", include_header=False)


def write_logs(rows: int, whole: Path, quarter: Path) -> None:
    """A log of exactly ``rows`` rows; and the customers of its first quarter with their rows."""
    from promotions.sources import simulated

    written: dict[Path, int] = {whole: 0, quarter: 0}
    most = {whole: rows, quarter: rows // 4}
    started: set[Path] = set()
    customers = rows // ROWS_A_CUSTOMER + rows // 1000 + 1000
    for name, piece in simulated.load({"customers": customers}, np.random.default_rng(45)):
        for folder in (whole, quarter):
            if name in ("uplift_train", "truth") or (name != "products" and written[folder] == most[folder]):
                continue
            kept = piece
            if name == "purchases":
                kept = piece.slice(0, most[folder] - written[folder])
                written[folder] += len(kept)
            _append(folder / f"{name}.csv", kept, started)
        if written[whole] == rows:
            return


def _append(path: Path, table: pa.Table, started: set[Path]) -> None:
    with path.open("ab") as file:
        pa_csv.write_csv(table, file, UNNAMED if path in started else PLAIN)
    started.add(path)


def duckdb_features(folder: Path) -> pd.DataFrame:
    """What `prepare` does."""
    files = [
        find_file(folder, name, "folder", types)
        for name, types in (("clients", CLIENTS), ("products", PRODUCTS), ("purchases", PURCHASES))
    ]
    return customer_features(*files, Settings(CAMPAIGN, memory=MEMORY, threads=THREADS)).frame


def pandas_features(folder: Path) -> pd.DataFrame:
    """The features as a notebook computes them."""
    return study_features(*read_folder(folder), pd.Timestamp(CAMPAIGN))


WAYS = {"duckdb": duckdb_features, "pandas": pandas_features}


def measured(way: str, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of one way in a separate process, and the sums of its 26 features."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.prepare", "--measure", way, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout))


def measure(way: str, folder: Path) -> None:
    """Runs in the separate process: print what `measured` reads."""
    start = time.perf_counter()
    frame = WAYS[way](folder)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sums = {name: float(frame[name].sum()) for name in STUDY_FEATURES}
    print(json.dumps({"seconds": seconds, "megabytes": peak, "customers": len(frame), "sums": sums}))


def main(rows: int) -> None:
    """Write the log, measure, print the ratios."""
    folder = Path(tempfile.mkdtemp(prefix="bench-prepare-"))
    whole, quarter = folder / "whole", folder / "quarter"
    try:
        whole.mkdir()
        quarter.mkdir()
        start = time.perf_counter()
        write_logs(rows, whole, quarter)
        size = (whole / "purchases.csv").stat().st_size / 1e9
        print(f"simulated log written: {rows:,} rows, {size:.1f} GB of CSV, {time.perf_counter() - start:.0f} s")
        print(
            f"{THREADS} threads of {os.cpu_count()} cores, memory limit {MEMORY}; "
            f"duckdb {version('duckdb')}, pandas {version('pandas')}"
        )
        full = measured("duckdb", whole)
        print(_line("all rows, 71 features", full, rows))
        ours, theirs = measured("duckdb", quarter), measured("pandas", quarter)
        print(_line("a quarter, 71 features", ours, rows // 4))
        print(_line("a quarter, 26 features, pandas", theirs, rows // 4))
        for name, value in theirs["sums"].items():
            if not np.isclose(ours["sums"][name], value, rtol=1e-6):
                sys.exit(f"the two ways differ in {name}: {ours['sums'][name]} and {value}")
        print(
            f"ratio: against pandas on a quarter: {theirs['seconds'] / ours['seconds']:.1f} times as fast, "
            f"1/{theirs['megabytes'] / ours['megabytes']:.1f} of the memory"
        )
    finally:
        shutil.rmtree(folder)


def _line(what: str, measurement: dict[str, float], rows: int) -> str:
    return (
        f"{what:32s}{rows:>12,} rows{int(measurement['customers']):>9,} customers{measurement['seconds']:>8.1f} s"
        f"{measurement['megabytes']:>8,.0f} MB"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
