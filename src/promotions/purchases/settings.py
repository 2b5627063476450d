"""How a log of purchases is read."""

from dataclasses import dataclass
from datetime import datetime

MEMORY_KEY = "data.memory_limit"


@dataclass(frozen=True)
class Settings:
    """How a log of purchases is read.

    campaign: only what happened strictly before it counts.  ages: the youngest and the oldest that count as valid.
    memory: DuckDB's limit, such as ``1GB``; beyond it, it spills to the system's folder of temporary files.
    threads: how many; they change the time, not the features.  unknown_clients: ``stop`` or ``drop``.
    """

    campaign: datetime
    ages: tuple[float, float] = (14, 100)
    memory: str = "1GB"
    threads: int = 1
    unknown_clients: str = "stop"
