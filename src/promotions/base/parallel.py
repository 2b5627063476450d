"""Fits side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_side_by_side(
    tasks: Sequence[Callable[[], T]], workers: int | Executor, progress: Callable[[], object] = lambda: None
) -> list[T]:
    """Results of ``tasks`` in their order; ``progress`` is called as each one ends.

    workers: how many tasks run at a time, or the pool that runs them, which may have other work too.

    A fit is one task on one thread. LightGBM's own threads meet after every histogram, which costs small data half of
    the gain, and all of the time when another process needs a core; whole fits never wait for each other.
    """

    def done(task: Callable[[], T]) -> T:
        result = task()
        progress()
        return result

    if isinstance(workers, Executor):
        return list(workers.map(done, tasks))
    if workers == 1:
        return [done(task) for task in tasks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(done, tasks))
