"""What a request costs."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearn.stopwatch import Phase, Stopwatch, Work

CPU = torch.device("cpu")
counts = st.integers(0, 10**9)
works = st.builds(Work, counts, counts, counts, counts)


@given(works, works)
def test_work_adds_up(first: Work, second: Work) -> None:
    total = first + second
    assert total.steps == first.steps + second.steps
    assert total.samples == first.samples + second.samples


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_phase_lasts_until_a_gpu_has_done_what_it_was_told() -> None:
    device = torch.device("cuda", 0)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    matrix = torch.rand(4096, 4096, device=device)
    stopwatch = Stopwatch(device)
    with stopwatch.phase("multiply", Work()):
        begin.record()
        for _ in range(100):
            matrix @ matrix
        end.record()
    assert 1000 * stopwatch.seconds >= begin.elapsed_time(end)


def test_a_new_stopwatch_shows_nothing() -> None:
    stopwatch = Stopwatch(CPU)
    assert stopwatch.phases == {}
    assert stopwatch.seconds == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), works, st.integers(0, 1000)), max_size=20))
def test_charges_to_one_phase_add_up(charges: list[tuple[str, Work, int]]) -> None:
    stopwatch = Stopwatch(CPU)
    for name, work, seconds in charges:
        stopwatch.charge(name, Phase(work, float(seconds)))
    for name, phase in stopwatch.phases.items():
        mine = [(work, seconds) for each, work, seconds in charges if each == name]
        assert phase.work.steps == sum(work.steps for work, _ in mine)
        assert phase.work.samples == sum(work.samples for work, _ in mine)
        assert phase.work.eager == sum(work.eager for work, _ in mine)
        assert phase.work.recordings == sum(work.recordings for work, _ in mine)
        assert phase.seconds == sum(seconds for _, seconds in mine)
    assert stopwatch.seconds == sum(seconds for _, _, seconds in charges)


def test_a_timed_block_is_charged_with_its_own_duration() -> None:
    stopwatch = Stopwatch(CPU)
    started = time.perf_counter()
    with stopwatch.phase("train", Work(2, 30)):
        inside = time.perf_counter()
        while time.perf_counter() == inside:
            pass
    outside = time.perf_counter() - started
    assert stopwatch.phases["train"].work == Work(2, 30)
    assert 0 < stopwatch.seconds <= outside


def test_blocks_and_charges_of_one_name_share_a_phase() -> None:
    stopwatch = Stopwatch(CPU)
    for _ in range(2):
        with stopwatch.phase("score", Work(1, 10)):
            pass
    stopwatch.charge("score", Phase(Work(3, 5), 100.0))
    assert stopwatch.phases.keys() == {"score"}
    assert stopwatch.phases["score"].work == Work(5, 25)
    assert stopwatch.seconds > 100
