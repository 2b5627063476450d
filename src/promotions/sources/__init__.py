"""Where experiments come from: one module a source, each with the two functions of ``Source``."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd

from promotions.customers import Customers
from promotions.sources import hillstrom, simulated, table
from promotions.validation import require_choice

Tables = dict[str, pd.DataFrame]


class Source(Protocol):
    """A source reads raw tables, then says what their columns mean."""

    def load(self, params: Mapping[str, Any], rng: np.random.Generator) -> Tables:
        """Raw tables as they came, by name. A table named ``truth`` is set apart and never becomes a feature."""
        ...

    def to_customers(self, tables: Tables, params: Mapping[str, Any]) -> Customers:
        """One row a customer, in the roles of ``promotions.customers``."""
        ...


SOURCES = {"simulated": simulated, "hillstrom": hillstrom, "table": table}


def get_source(name: str) -> Source:
    """The source of that name. Raises InputError naming the known ones."""
    return cast(Source, SOURCES[require_choice(name, tuple(SOURCES), "data.source")])
