"""dvc.lock as DVC would write it, for files that a test has written."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.lineage import content_of

LOCK = Path("dvc.lock")


def record(stage: str, reads: Iterable[str] = (), writes: Iterable[str] = (), **params: Any) -> None:
    """Note in the present folder's dvc.lock that ``stage`` has just run.

    params: of params.yaml, by dotted key, with two underscores for each dot.
    """
    document: dict[str, Any] = yaml.safe_load(LOCK.read_text()) if LOCK.is_file() else {"schema": "2.0", "stages": {}}
    ran: dict[str, Any] = {"cmd": f"python src/{stage}.py", "deps": _contents(reads), "outs": _contents(writes)}
    if params:
        ran["params"] = {"params.yaml": {key.replace("__", "."): value for key, value in params.items()}}
    document["stages"][stage] = ran
    LOCK.write_text(yaml.safe_dump(document, sort_keys=False))


def _contents(paths: Iterable[str]) -> list[Mapping[str, Any]]:
    return [dict(content_of(path)) for path in paths]
