"""Independent random streams."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from unlearn.seeds import derive_seed, generator

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
