"""Independent random streams."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearn.seeds import derive_seed, generator, seeded_globals

seeds = st.integers(0, 2**63 - 1)
purposes = st.lists(st.text(max_size=5) | st.integers(0, 99), max_size=3)


@given(seeds, purposes)
def test_a_derived_seed_is_what_a_generator_takes(seed: int, purpose: list[str | int]) -> None:
    assert 0 <= derive_seed(seed, *purpose) < 2**63


@given(seeds, purposes, seeds, purposes)
def test_only_equal_seeds_and_purposes_derive_equal_seeds(
    seed: int, purpose: list[str | int], other_seed: int, other_purpose: list[str | int]
) -> None:
    equal = (seed, purpose) == (other_seed, other_purpose)
    assert (derive_seed(seed, *purpose) == derive_seed(other_seed, *other_purpose)) == equal


def test_words_do_not_run_together() -> None:
    derived = {
        derive_seed(0, "a", "b"),
        derive_seed(0, "ab"),
        derive_seed(0, "a, b"),
        derive_seed(0, "1"),
        derive_seed(0, 1),
        derive_seed(1),
    }
    assert len(derived) == 6


def test_a_derived_seed_is_the_same_in_every_process_and_version() -> None:
    # The first 63 bits of the SHA-256 of "(0, 'noise')", from sha256sum.
    assert derive_seed(0, "noise") == 0xC80C4E22C005B753 >> 1


def test_a_generator_ignores_and_leaves_the_global_state() -> None:
    before = torch.get_rng_state()
    first = torch.rand(3, generator=generator(4, "order"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert torch.equal(torch.rand(3, generator=generator(4, "order")), first)


def test_purposes_have_streams_of_their_own() -> None:
    order, noise = (torch.rand(3, generator=generator(4, p)) for p in ("order", "noise"))
    assert not torch.equal(order, noise)


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_global_state_is_lent_for_a_block_and_then_goes_on_as_if_nothing_had_been() -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    alone = [drawn(), drawn()]
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    first = drawn()
    with seeded_globals(3, torch.device("cpu")):
        lent = drawn()
    assert [first, drawn()] == alone
    with seeded_globals(3, torch.device("cpu")):
        assert drawn() == lent
    with seeded_globals(4, torch.device("cpu")):
        assert not set(drawn()) & set(lent)


def test_it_is_lent_to_one_thread_at_a_time() -> None:
    def lent(seed: int) -> list[tuple[float, float, float]]:
        with seeded_globals(seed, torch.device("cpu")):
            draws = []
            for _ in range(20):
                time.sleep(0.0005)  # others may run
                draws.append(drawn())
            return draws

    alone = [lent(seed) for seed in range(10)]
    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(lent, range(10))) == alone


def test_global_state_is_given_back_after_a_failure() -> None:
    def fail() -> None:
        with seeded_globals(2**63 - 1, torch.device("cpu")):
            drawn()
            raise ZeroDivisionError

    random.seed(5)
    expected = drawn()
    random.seed(5)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert drawn()[0] == expected[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_state_of_a_gpu_is_lent_too() -> None:
    gpu = torch.device("cuda")
    before = torch.cuda.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded_globals(3, gpu):
            draws.append(float(torch.rand(1, device=gpu)))
    assert draws[0] == draws[1]
    assert torch.equal(torch.cuda.get_rng_state(), before)
