"""Sources of experiments: one module each, with the two functions of ``Source``."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from promotions.base.validation import require_choice
from promotions.customers import Customers
from promotions.sources import hillstrom, simulated, table, x5
from promotions.sources.ingested import Ingested

Pieces = Iterable[tuple[str, pd.DataFrame | pa.Table]]


class Source(Protocol):
    """A source reads raw tables, then says what their columns mean."""

    def load(self, params: Mapping[str, Any], rng: np.random.Generator) -> Pieces:
        """Unchanged raw tables by name, whole or in pieces. ``truth`` is set apart and never becomes a feature."""
        ...

    def to_customers(self, tables: Ingested, params: Mapping[str, Any]) -> Customers:
        """One row a customer, in the roles of ``promotions.customers``."""
        ...


SOURCES = {"simulated": simulated, "x5": x5, "hillstrom": hillstrom, "table": table}


def get_source(name: str) -> Source:
    """The source of that name. Raises InputError naming all sources."""
    return cast(Source, SOURCES[require_choice(name, tuple(SOURCES), "data.source")])


__all__ = ["SOURCES", "Ingested", "Pieces", "Source", "get_source"]
