"""ConMU; its knobs are in `test_conmu_settings.py`."""

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.testing import assert_close

from unlearn.methods.conmu import ConMUConfig, unlearn
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.proxy import proxy_snapshots, train_proxy
from unlearn.pruning import prune, sparsity
from unlearn.seeds import derive_seed
from unlearn.selection import el2n
from unlearn.stopwatch import Phase, Stopwatch, Work

SEED = 11
SMALL = ConMUConfig(epochs=2, batch_size=32, delta=1)
ALL = replace(SMALL, forget_z1=99.0, forget_z2=99.0, retain_z1=99.0, retain_z2=99.0)
NONE = replace(SMALL, forget_z1=0.0, forget_z2=0.0, retain_z1=0.0, retain_z2=0.0)


def run(
    problem: Problem,
    config: ConMUConfig = SMALL,
    seed: int = SEED,
    precomputed: Precomputed | None = None,
) -> tuple[Unlearned, Stopwatch]:
    stopwatch = Stopwatch(problem.device)
    return unlearn(problem, config, seed, stopwatch, precomputed), stopwatch


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.fixture(scope="module")
def precomputed(problem: Problem) -> Precomputed:
    """What `run` makes itself, made beforehand from the same seeds."""
    pruned = copy.deepcopy(problem.original)
    prune(pruned, 0.1)
    proxies, costs = proxy_snapshots(problem, 2, derive_seed(SEED, "proxy"))
    return Precomputed(
        pruning_rate=0.1,
        forget_scores=el2n(pruned, problem.forget),
        retain_scores=el2n(pruned, problem.retain),
        scoring=Phase(Work(1, 200), 1234.0),
        proxies=proxies,
        proxy_training=costs,
    )


@pytest.mark.parametrize(("temperature", "clip_norm"), [(1.0, None), (2.5, None), (1.0, 0.3)])
def test_one_step_follows_the_equations_of_the_paper(
    problem: Problem, temperature: float, clip_norm: float | None
) -> None:
    # D_new fits into one batch, so that its order is no matter; without noise nothing is drawn.
    config = ConMUConfig(
        forget_z1=0.8,
        forget_z2=1.2,
        retain_z1=0.5,
        retain_z2=0.7,
        alpha=0,
        delta=2,
        gamma=0.7,
        temperature=temperature,
        clip_norm=clip_norm,
        pruning_rate=0.3,
        epochs=1,
        learning_rate=0.1,
        weight_decay=0.01,
        batch_size=1000,
    )
    outcome, _ = run(problem, config)

    # OMP, by sorting: all parameters but biases and batch norm have more than one dimension.
    model = copy.deepcopy(problem.original)
    magnitudes = [p.detach().abs().flatten() for p in model.parameters() if p.dim() > 1]
    ranked = torch.cat(magnitudes).sort().values
    cut = ranked[round(0.3 * len(ranked))]
    masks = [(p.abs() >= cut) | (p.dim() == 1) for p in model.parameters()]
    with torch.no_grad():
        for parameter, mask in zip(model.parameters(), masks, strict=True):
            parameter.mul_(mask)
    # Eqs. 1-4 and 7, in NumPy.
    chosen: list[tuple[Tensor, Tensor]] = []
    for samples, low, high in ((problem.forget, 0.8, 1.2), (problem.retain, 0.5, 0.7)):
        images = samples.images / 255
        logits = model.eval()(images).detach().double().numpy()
        distance = softmax(logits, axis=1) - np.eye(10)[samples.labels.numpy()]
        scores = np.linalg.norm(distance, axis=1)
        bottom, top = scores.mean() - low * scores.std(), scores.mean() + high * scores.std()
        inside = torch.from_numpy((scores >= bottom) & (scores <= top))
        chosen.append((images[inside], samples.labels[inside]))
    images = torch.cat([images for images, _ in chosen])
    labels = torch.cat([labels for _, labels in chosen])
    # Eq. 6.
    proxy = train_proxy(problem, 2, derive_seed(SEED, "proxy"), Stopwatch(problem.device))
    taught = (proxy(images).detach() / temperature).softmax(dim=1)
    # Eq. 8, written out with a temperature T and T², and one step of SGD without momentum yet.
    logits = model.train()(images)
    cross_entropy = -logits.log_softmax(dim=1).gather(1, labels[:, None]).mean()
    softened = (logits / temperature).log_softmax(dim=1)
    divergence = (taught * (taught.log() - softened)).sum(dim=1).mean()
    (cross_entropy + 0.7 * temperature**2 * divergence).backward()
    gradients = []
    for parameter, mask in zip(model.parameters(), masks, strict=True):
        assert parameter.grad is not None
        gradients.append(mask * parameter.grad)
    # Of what is pruned nothing counts in the norm, which the clipping makes smaller.
    norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    assert norm > 0.3
    shrink = 1.0 if clip_norm is None else clip_norm / norm
    expected: list[Tensor] = []
    for parameter, mask, gradient in zip(model.parameters(), masks, gradients, strict=True):
        step = 0.1 * (shrink * gradient + 0.01 * mask * parameter.detach())
        expected.append(parameter.detach() - step)

    assert outcome.sizes == {"forget": len(chosen[0][1]), "retain": len(chosen[1][1])}
    assert 0 < outcome.sizes["forget"] < 50
    assert 0 < outcome.sizes["retain"] < 150
    for ours, theirs in zip(outcome.model.parameters(), expected, strict=True):
        assert_close(ours.detach(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_the_pruned_weights_are_still_zero_after_fine_tuning(
    problem: Problem, rate: float, clip_norm: float | None
) -> None:
    config = replace(SMALL, pruning_rate=rate, clip_norm=clip_norm, learning_rate=0.1)
    outcome, _ = run(problem, config)
    total = sum(mask.numel() for mask in outcome.masks.values())
    assert sparsity(outcome.model) * total == pytest.approx(round(rate * total), abs=0.1)
    for name, mask in outcome.masks.items():
        assert not outcome.model.get_parameter(name)[mask == 0].any()


def test_the_model_is_a_plain_network(problem: Problem) -> None:
    outcome, _ = run(problem)
    assert outcome.model.state_dict().keys() == problem.original.state_dict().keys()


def test_equal_seeds_give_equal_models(problem: Problem) -> None:
    first, second = run(problem, seed=1)[0], run(problem, seed=1)[0]
    assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)


def test_different_seeds_give_different_models(problem: Problem) -> None:
    first, second = run(problem, seed=1)[0], run(problem, seed=2)[0]
    assert not torch.equal(weights(first.model), weights(second.model))


def test_global_randomness_is_neither_read_nor_changed(problem: Problem) -> None:
    before = torch.get_rng_state()
    first = run(problem)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert torch.equal(weights(run(problem)[0].model), weights(first.model))


CHANGES: dict[str, Any] = {
    "forget_z1": 0.1,
    "forget_z2": 0.1,
    "retain_z1": 1.5,
    "retain_z2": 1.5,
    "alpha": 7,
    "sigma": 0.3,
    "mu": 0.5,
    "delta": 2,
    "gamma": 2.0,
    "pruning_rate": 0.4,
    "epochs": 3,
    "learning_rate": 0.03,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "batch_size": 16,
    "temperature": 3.0,
    "clip_norm": 0.01,
}


@pytest.mark.parametrize("name", [field.name for field in fields(ConMUConfig)])
def test_every_knob_changes_the_model(problem: Problem, name: str) -> None:
    changed = replace(SMALL, **{name: CHANGES[name]})
    assert not torch.equal(weights(run(problem, changed)[0].model), weights(run(problem)[0].model))


def shown(problem: Problem, config: ConMUConfig, seed: int = SEED) -> list[Tensor]:
    """The images that fine-tuning sees, one after the other."""
    original = copy.deepcopy(problem.original)
    batches: list[Tensor] = []
    original.register_forward_pre_hook(
        lambda module, args: batches.append(args[0]) if module.training else None
    )
    run(replace(problem, original=original), config, seed)
    return list(torch.cat(batches))


def pixels(images: list[Tensor]) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def test_noise_goes_to_the_forgotten_samples_alone(problem: Problem) -> None:
    images = shown(problem, replace(ALL, alpha=20, epochs=1))
    clean = [image for image in images if image.min() >= 0 and image.max() <= 1]
    assert len(images) == 200
    assert sorted(pixels(clean)) == sorted(pixels(list(problem.retain.images / 255)))


def test_noise_is_drawn_once(problem: Problem) -> None:
    images = pixels(shown(problem, ALL))
    assert len(images) == 400
    assert set(images[:200]) == set(images[200:])


def test_the_order_changes_with_every_epoch(problem: Problem) -> None:
    images = pixels(shown(problem, ALL))
    assert images[:200] != images[200:]


def test_the_seed_decides_the_order(problem: Problem) -> None:
    config = replace(ALL, alpha=0, epochs=1)
    first, again, other = (pixels(shown(problem, config, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_the_seed_decides_the_noise(problem: Problem) -> None:
    config = replace(ALL, epochs=1)
    first, again, other = (set(pixels(shown(problem, config, seed))) for seed in (1, 1, 2))
    assert first == again
    assert first & other == set(pixels(list(problem.retain.images / 255)))


@pytest.mark.parametrize("delta", [0, 1, 2])
def test_what_is_precomputed_does_not_change_the_model(
    problem: Problem, precomputed: Precomputed, delta: int
) -> None:
    config = replace(SMALL, delta=delta)
    with_it = run(problem, config, precomputed=precomputed)[0]
    without = run(problem, config)[0]
    assert_close(with_it.model.state_dict(), without.model.state_dict(), rtol=0, atol=0)
    assert with_it.sizes == without.sizes


def test_what_is_precomputed_is_charged_as_if_it_had_been_made(
    problem: Problem, precomputed: Precomputed
) -> None:
    _, with_it = run(problem, precomputed=precomputed)
    _, without = run(problem)
    assert with_it.phases["score"] == precomputed.scoring
    assert with_it.phases["train"] == precomputed.proxy_training[1]
    assert {name: phase.work for name, phase in with_it.phases.items()} == {
        name: phase.work for name, phase in without.phases.items()
    }


def test_precomputed_scores_are_used(problem: Problem, precomputed: Precomputed) -> None:
    scores = torch.zeros(50)
    scores[7] = 1.0
    config = replace(SMALL, forget_z1=0.0, forget_z2=100.0)
    outcome, _ = run(problem, config, precomputed=replace(precomputed, forget_scores=scores))
    assert outcome.sizes["forget"] == 1


def test_scores_of_another_pruning_rate_are_not_used(
    problem: Problem, precomputed: Precomputed
) -> None:
    other = replace(precomputed, pruning_rate=0.2, forget_scores=torch.zeros(50))
    with_it, stopwatch = run(problem, precomputed=other)
    without, _ = run(problem)
    assert torch.equal(weights(with_it.model), weights(without.model))
    assert stopwatch.phases["score"] != other.scoring


def test_a_proxy_older_than_the_precomputed_ones_is_trained(
    problem: Problem, precomputed: Precomputed
) -> None:
    config = replace(SMALL, delta=3)
    with_it, _ = run(problem, config, precomputed=precomputed)
    without, _ = run(problem, config)
    assert torch.equal(weights(with_it.model), weights(without.model))


def test_an_empty_selection_is_flagged_and_leaves_the_pruned_model(problem: Problem) -> None:
    outcome, stopwatch = run(problem, NONE)
    pruned = copy.deepcopy(problem.original)
    prune(pruned, 0.1)
    assert outcome.flags == ("empty_selection",)
    assert outcome.sizes == {"forget": 0, "retain": 0}
    assert stopwatch.phases["finetune"].work == Work()
    assert_close(outcome.model.state_dict(), pruned.state_dict(), rtol=0, atol=0)


def test_no_network_is_asked_about_no_images(problem: Problem) -> None:
    # Some cannot answer, such as those that reshape to "as many columns as there are".
    def refuse_none(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert all(len(part) for part in inputs)

    hook = register_module_forward_pre_hook(refuse_none)
    try:
        outcome, _ = run(problem, NONE)
    finally:
        hook.remove()
    assert outcome.flags == ("empty_selection",)


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (replace(ALL, forget_z1=0.0, forget_z2=0.0), {"forget": 0, "retain": 150}),
        (replace(ALL, retain_z1=0.0, retain_z2=0.0), {"forget": 50, "retain": 0}),
    ],
)
def test_one_empty_part_is_no_empty_selection(
    problem: Problem, config: ConMUConfig, sizes: dict[str, int]
) -> None:
    outcome, _ = run(problem, config)
    assert outcome.flags == ()
    assert outcome.sizes == sizes


def test_the_work_of_every_phase_is_counted(problem: Problem) -> None:
    outcome, stopwatch = run(problem, replace(ALL, delta=2))
    assert outcome.sizes == {"forget": 50, "retain": 150}
    # The proxy: two epochs over 150 samples; fine-tuning: two over 200; in batches of 32. These are
    # too few for a recording, and so all updates are eager.
    assert {name: phase.work for name, phase in stopwatch.phases.items()} == {
        "prune": Work(1, 0),
        "score": Work(1, 200),
        "select": Work(1, 200),
        "noise": Work(1, 50),
        "train": Work(1, 2 * 150, 2 * 5),
        "distil": Work(1, 200),
        "finetune": Work(2 * 7, 2 * 200, 2 * 7),
    }


def test_no_noise_is_no_work(problem: Problem) -> None:
    _, stopwatch = run(problem, replace(ALL, alpha=0))
    assert stopwatch.phases["noise"].work == Work(1, 0)


def test_the_work_counts_what_the_selection_left(problem: Problem) -> None:
    outcome, stopwatch = run(problem)
    forget, retain = outcome.sizes["forget"], outcome.sizes["retain"]
    assert 0 < forget + retain < 200
    assert stopwatch.phases["noise"].work.samples == forget
    assert stopwatch.phases["distil"].work.samples == forget + retain
    assert stopwatch.phases["finetune"].work.samples == SMALL.epochs * (forget + retain)
