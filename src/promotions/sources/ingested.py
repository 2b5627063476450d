"""The tables that a source left for `prepare`, and the resources for reading them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Ingested(Mapping[str, pd.DataFrame]):
    """Tables by name, each read on access.

    folder: holds ``<table>.parquet`` for each table.  threads, memory: what reading may use (memory as DuckDB writes
    it, ``1GB``).  progress: called with the share that is done, 0 to 1.
    """

    folder: Path
    threads: int = 1
    memory: str = "1GB"
    progress: Callable[[float], object] | None = None

    def path(self, name: str) -> Path:
        """The file of table ``name``."""
        return self.folder / f"{name}.parquet"

    def __getitem__(self, name: str) -> pd.DataFrame:
        if not self.path(name).is_file():
            raise KeyError(name)
        return pd.read_parquet(self.path(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in self.folder.glob("*.parquet")))

    def __len__(self) -> int:
        return sum(1 for _ in self)
