"""Features cut into LightGBM's bins once, however many models are fitted to rows of them."""

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promotions.boosting.settings import Boosting, lightgbm

# What the bins depend on; a fit has to repeat it, so that LightGBM accepts the bins. Bins are made without a label, so
# no feature may be left out beforehand because some model's leaves would be too large for it.
BINNING = {"force_col_wise": True, "verbose": -1, "n_jobs": 1, "deterministic": True, "feature_pre_filter": False}


class Binned:
    """A table of features, or rows of it, to fit LightGBM to.

    Bins are made of all rows of the table when the first model is fitted, and shared by every ``rows`` of it from then
    on, whichever thread fits. They hold features alone, so rows held out of a fit reveal no outcome to it. A fit
    takes one thread: whole fits run side by side, and no result depends on how many there are.
    """

    def __init__(self, *columns: NDArray[Any], threads: int = 1) -> None:
        """columns: (n, p) tables and (n,) vectors, side by side in this order, without NaN.

        threads: how many look for bins; their number does not change the bins.
        """
        self._table = _Table(columns, threads)
        self._chosen: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return self._table.rows if self._chosen is None else len(self._chosen)

    def rows(self, chosen: NDArray[np.bool_]) -> "Binned":
        """The rows where the mask ``chosen``, (n,), is true."""
        part = Binned.__new__(Binned)
        part._table = self._table
        part._chosen = np.flatnonzero(chosen) if self._chosen is None else self._chosen[chosen]
        return part

    def dataset(self, label: ArrayLike, weight: ArrayLike | None = None) -> Any:
        """A lightgbm.Dataset of these rows with this label and these weights, (n,)."""
        view = lightgbm().Dataset(None, reference=self._table.dataset(), params=BINNING)
        view.used_indices = np.arange(len(self)) if self._chosen is None else self._chosen
        view.construct()
        view.set_label(np.asarray(label, dtype=np.float64))
        if weight is not None:
            view.set_weight(np.asarray(weight, dtype=np.float64))
        return view

    def fit(
        self, model: Boosting, label: ArrayLike, *, seed: int, binary: bool = False, weight: ArrayLike | None = None
    ) -> Any:
        """A lightgbm.Booster of E[label | x], fitted to these rows.

        binary: cross-entropy, for a label in [0, 1]; it predicts probabilities. Else squared error.  weight: (n,).
        """
        parameters = {**model.arguments(seed), **BINNING, "objective": "cross_entropy" if binary else "regression"}
        return lightgbm().train(parameters, self.dataset(label, weight), model.trees)


class _Table:
    """Columns, and their bins once ``dataset`` was called."""

    def __init__(self, columns: tuple[NDArray[Any], ...], threads: int) -> None:
        self.rows = len(columns[0])
        self._columns, self._dataset, self._lock = columns, None, Lock()
        self._parameters = {**BINNING, "n_jobs": threads}

    def dataset(self) -> Any:
        with self._lock:
            if self._dataset is None:
                table = self._columns[0] if len(self._columns) == 1 else np.column_stack(self._columns)
                # A view can exist only if the table has a label; each view gets another one afterwards.
                empty = np.zeros(self.rows)
                self._dataset = lightgbm().Dataset(table, empty, params=self._parameters).construct()
                self._columns = ()
        return self._dataset
