"""Write the page for people: the decision, its basis, and how sure it is. It opens from disk, without a network.

reads   metrics/{experiment,headline,policies,learners,rules}.json, data/prepared/roles.json, data/dictionary.csv,
        plots/{soundness,profit_by_cost_ratio,profit_by_share,affected}.csv, plots/*.png; and if they exist:
        metrics/{explain,stability,discount}.json, metrics/discount/*.json and their plots; dvc.lock (only
        results of the present parameters, data and code are shown)
writes  report/index.html
"""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline import stage
from pipeline.dictionary import read_meanings
from pipeline.lineage import Lineage
from promotions.report import Run, render, run

PAGE = str(stage.PAGE)
# The software that the numbers depend on.
PACKAGES = (
    *("numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "econml", "causalml", "statsmodels", "duckdb"),
    *("pyarrow", "matplotlib", "dvc"),
)


def main() -> None:
    """Write all results that belong to the present inputs on one page."""
    lineage = Lineage.read()
    files = {
        "metrics": existing("metrics/{}.json", run.REQUIRED_METRICS, run.OPTIONAL_METRICS, lineage),
        "tables": existing("plots/{}.csv", run.REQUIRED_TABLES, run.OPTIONAL_TABLES, lineage),
        "pictures": existing("plots/{}.png", run.REQUIRED_PICTURES, run.OPTIONAL_PICTURES, lineage),
    }
    metrics = {name: stage.read_json(str(path)) for name, path in files["metrics"].items()}
    lineage.require_current(["data/prepared/roles.json"], "dvc repro report")
    roles = stage.read_json("data/prepared/roles.json")
    versions = {"Python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    finished = Run(
        metrics=metrics,
        tables={
            name: pd.read_csv(path, keep_default_na=False, na_values=[""]) for name, path in files["tables"].items()
        },
        pictures={name: path.read_bytes() for name, path in files["pictures"].items()},
        params=stage.section(),
        roles=roles,
        versions=versions,
        fingerprint=fingerprint(path for group in files.values() for path in group.values()),
        meanings={name: meaning for name, (meaning, _) in read_meanings(str(metrics["headline"]["source"])).items()},
    )
    page = render(finished)
    stage.write_bytes(PAGE, page.encode())
    stage.say(f"{PAGE}, {len(page.encode()) / 1e6:.1f} MB; open it in a browser")


def existing(pattern: str, required: Iterable[str], optional: Iterable[str], lineage: Lineage) -> dict[str, Path]:
    """Files by name: all required ones, and the optional ones that belong to the present inputs."""
    needed = {name: Path(pattern.format(name)) for name in required}
    lineage.require_current([path.as_posix() for path in needed.values()], "dvc repro report")
    others = {name: Path(pattern.format(name)) for name in optional}
    return needed | {name: path for name, path in others.items() if not lineage.outdated(path.as_posix())}


def fingerprint(paths: Iterable[Path]) -> str:
    """A hash of the names and contents of params.yaml and these files."""
    sums = {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in (stage.PARAMS, *paths)}
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    stage.run(main, __doc__)
