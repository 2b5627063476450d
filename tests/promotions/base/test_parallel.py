"""Tasks side by side."""

import threading

import pytest

from promotions.base.parallel import run_side_by_side


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks_and_each_is_reported(threads: int) -> None:
    ended: list[None] = []
    results = run_side_by_side([lambda n=n: n * n for n in range(20)], threads, lambda: ended.append(None))
    assert results == [n * n for n in range(20)]
    assert len(ended) == 20


def test_two_tasks_run_at_the_same_time() -> None:
    # Two that do not run at the same time would wait for ever; on a busy machine a thread may be late.
    meeting = threading.Barrier(2, timeout=600)
    assert sorted(run_side_by_side([meeting.wait, meeting.wait], 2)) == [0, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failing_task_fails_the_whole(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        run_side_by_side([lambda: 1, lambda: 1 // 0], threads)
