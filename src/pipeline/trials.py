"""Trials that outlive an interruption: each is written once it is done, and used again if nothing has changed since.

A trial is kept under a fingerprint of everything that determines it: data, parameters, seed, the library's code and the
packages below it. One with another fingerprint is thrown away, so that trials of two kinds are never summarised
together. The folder is not an output of the stage: DVC deletes outputs before a stage runs, and brings others back with
another revision; and a trial that was kept is the same, byte for byte, as one computed anew.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import stage

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "lightgbm", "econml", "causalml")
# Code that draws or sums up trials determines none of their numbers.
READING_CODE = ("promotions.plots", "promotions.stability.summary")
KEY = b"fingerprint"


def fingerprint(files: Iterable[str], settings: Mapping[str, Any]) -> str:
    """A hash of the files' content, the settings, the loaded code of the library, and the packages' versions."""
    ingredients = {
        "files": {path: _hash_of(Path(path)) for path in files},
        "settings": settings,
        "code": {
            name: _hash_of(Path(module.__file__))
            for name, module in sorted(sys.modules.items())
            if name.split(".")[0] == "promotions" and not name.startswith(READING_CODE) and module.__file__
        },
        "packages": {name: _version_of(name) for name in PACKAGES},
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True, default=repr).encode()).hexdigest()


def collect(
    folder: str, fingerprint: str, trials: int, run: Callable[[int], pd.DataFrame], on_kept: Callable[[int], object]
) -> list[pd.DataFrame]:
    """Trials 0 … ``trials`` − 1: those of this fingerprint from ``folder``; ``run`` makes the others, kept there.

    on_kept: called for each trial that is there already.  Trials beyond ``trials`` stay in ``folder``.
    """
    for leftover in Path(folder).glob(".trial_*"):
        leftover.unlink()
    kept = {path.name for path in Path(folder).glob("trial_*.parquet") if _fingerprint_of(path) == fingerprint}
    outdated = [path for path in Path(folder).glob("trial_*.parquet") if path.name not in kept]
    for path in outdated:
        path.unlink()
    paths = [Path(folder) / f"trial_{number:03d}.parquet" for number in range(trials)]
    reused = sum(path.name in kept for path in paths)
    if outdated:
        stage.say(f"{len(outdated)} trials of other data, parameters or code discarded")
    if reused:
        stage.say(f"{reused} of {trials} trials are there already")
    for number, path in enumerate(paths):
        if path.name in kept:
            on_kept(number)
        else:
            table = pa.Table.from_pandas(run(number), preserve_index=False)
            labelled = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: fingerprint})
            with stage.replacing(str(path)) as temporary:
                pq.write_table(labelled, temporary)
    return [pd.read_parquet(path) for path in paths]


def _fingerprint_of(path: Path) -> str | None:
    """What a trial was kept under; None if the file is not a trial."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return metadata[KEY].decode() if KEY in metadata else None


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
