"""What a source left for `prepare`: its tables, and what may be used to read them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Ingested(Mapping[str, pd.DataFrame]):
    """Tables by name, each read when it is asked for.

    folder: holds a Parquet file a table, of its name.  threads, memory: what reading may use (memory as DuckDB's
    ``1GB``).  progress: told the share that is done, 0 to 1.
    """

    folder: Path
    threads: int = 1
    memory: str = "1GB"
    progress: Callable[[float], object] | None = None

    def path(self, name: str) -> Path:
        """Where table ``name`` lies."""
        return self.folder / f"{name}.parquet"

    def __getitem__(self, name: str) -> pd.DataFrame:
        if not self.path(name).is_file():
            raise KeyError(name)
        return pd.read_parquet(self.path(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in self.folder.glob("*.parquet")))

    def __len__(self) -> int:
        return sum(1 for _ in self)
