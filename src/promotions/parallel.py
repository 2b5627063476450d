"""Fits side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_side_by_side(
    tasks: Sequence[Callable[[], T]], threads: int, progress: Callable[[], object] = lambda: None
) -> list[T]:
    """Results of ``tasks`` in their order, ``threads`` of them at a time; ``progress`` is called as each one ends.

    A fit is one task on one thread. LightGBM's own threads meet after every histogram, which costs small data half of
    the gain, and all of the time when another process wants a core; whole fits never wait for each other.
    """

    def done(task: Callable[[], T]) -> T:
        result = task()
        progress()
        return result

    if threads == 1:
        return [done(task) for task in tasks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(done, tasks))
