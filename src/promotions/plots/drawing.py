"""Figures drawn side by side in processes: matplotlib is Python, and a process runs one line of Python at a time."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from promotions.plots.style import png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawing(AbstractContextManager["Drawing"]):
    """Draws on ``cores`` cores: this process and ``cores`` − 1 others, which start now and import matplotlib at once.

    Create it before any thread, as threads do not survive in the new processes.
    """

    def __init__(self, cores: int) -> None:
        self._others = ProcessPoolExecutor(cores - 1) if cores > 1 else None
        if self._others is not None:
            for _ in range(cores - 1):
                self._others.submit(_get_ready)

    def __exit__(self, *_: object) -> None:
        if self._others is not None:
            self._others.shutdown(cancel_futures=True)

    def png(self, figures: Mapping[str, "Callable[[], Figure]"]) -> dict[str, bytes]:
        """The pictures by name.  figures: functions of modules, with their arguments bound by ``partial``."""
        if self._others is None:
            return {name: _draw(figure) for name, figure in figures.items()}
        # Every second figure is drawn here.
        away = {name: self._others.submit(_draw, figure) for name, figure in list(figures.items())[1::2]}
        here = {name: _draw(figure) for name, figure in list(figures.items())[::2]}
        return {name: here[name] if name in here else away[name].result() for name in figures}


def _get_ready() -> None:
    import matplotlib.backends.backend_agg
    import matplotlib.style  # noqa: F401


def _draw(figure: "Callable[[], Figure]") -> bytes:
    return png_bytes(figure())
