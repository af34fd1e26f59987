"""What is recorded on a GPU does to the last bit what it did without."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.unlearn.small import linear, seeded
from unlearn import training
from unlearn.datasets import Samples
from unlearn.models import ModelFactory
from unlearn.problem import StateDict
from unlearn.pruning import prune
from unlearn.recording import WARM_UP, Recording, is_steady
from unlearn.training import Recipe, train, work_of_training

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
LAST_GPU = torch.device("cuda", max(0, torch.cuda.device_count() - 1))


class OwnLayer(nn.Module):
    """A layer of somebody else's, which counts how often it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images


@pytest.mark.parametrize("name", ["small-cnn", "resnet18", "vgg16", "torchvision:alexnet"])
def test_the_networks_that_we_know_are_steady(name: str) -> None:
    factory = ModelFactory(name, 10, (0.5,) * 3, (0.2,) * 3)
    assert is_steady(factory(0, torch.device("cpu")))


def hooked() -> nn.Module:
    layer = nn.ReLU()
    layer.register_forward_hook(lambda *_: None)
    return layer


def hooked_backwards() -> nn.Module:
    layer = nn.ReLU()
    layer.register_full_backward_hook(lambda *_: None)
    return layer


def hooked_before_going_backwards() -> nn.Module:
    layer = nn.ReLU()
    layer.register_full_backward_pre_hook(lambda *_: None)
    return layer


def hooked_at_the_gradient() -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.weight.register_hook(lambda gradient: gradient)
    return layer


def hooked_after_the_gradient() -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.weight.register_post_accumulate_grad_hook(lambda _: None)
    return layer


def replaced() -> nn.Module:
    layer = nn.ReLU()
    layer.forward = layer.forward  # type: ignore[method-assign]
    return layer


def averaging() -> nn.Module:
    return nn.BatchNorm1d(3, momentum=None)


@pytest.mark.parametrize(
    "make",
    [
        OwnLayer,
        hooked,
        hooked_backwards,
        hooked_before_going_backwards,
        hooked_at_the_gradient,
        hooked_after_the_gradient,
        replaced,
        averaging,
        lambda: torch.fx.symbolic_trace(nn.ReLU()),
        lambda: nn.DataParallel(nn.ReLU()),
    ],
)
def test_networks_with_a_layer_that_may_do_something_else_each_time_are_not_steady(
    make: Callable[[], nn.Module],
) -> None:
    assert is_steady(nn.Sequential(linear(), nn.Sequential(nn.ReLU())))
    assert not is_steady(nn.Sequential(linear(), nn.Sequential(make())))


def test_no_network_is_steady_while_every_layer_has_a_hook() -> None:
    hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not is_steady(linear())
    finally:
        hook.remove()


def colour_samples(count: int) -> Samples:
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=seeded(1), dtype=torch.uint8)
    return Samples(images, torch.randint(0, 10, (count,), generator=seeded(2)))


def trained(network: str, recipe: Recipe, *, is_recorded: bool) -> StateDict:
    """For 32 whole batches and 4 smaller ones, with everything that training offers."""
    torch.backends.cudnn.deterministic = True
    model = ModelFactory(network, 10, (0.5,) * 3, (0.2,) * 3)(0, LAST_GPU)
    masks = prune(model, 0.1)
    with patch.object(training, "WORTH_RECORDING", 0 if is_recorded else 1_000_000):
        train(
            model,
            colour_samples(8 * recipe.batch_size + 5).to(LAST_GPU),
            recipe,
            generator=seeded(3),
            augmentation=seeded(4) if recipe.augment else None,
            masks=masks,
            clip_norm=1.0,
        )
    return model.state_dict()


@on_gpu
@pytest.mark.parametrize("network", ["small-cnn", "resnet18", "vgg16", "torchvision:squeezenet1_1"])
@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_training_is_the_same_to_the_last_bit(
    network: str, augment: bool, precision: str
) -> None:
    # SqueezeNet has a layer of dropout.
    recipe = Recipe(
        epochs=4,
        learning_rate=0.01,
        batch_size=32,
        schedule="cosine",
        augment=augment,
        precision=precision,  # type: ignore[arg-type]
    )
    recorded = trained(network, recipe, is_recorded=True)
    assert_close(recorded, trained(network, recipe, is_recorded=False), rtol=0, atol=0)


@on_gpu
def test_only_steady_networks_are_recorded() -> None:
    own = OwnLayer()
    model = nn.Sequential(nn.Flatten(), own, nn.Linear(3 * 32 * 32, 10)).to(LAST_GPU)
    samples = colour_samples(64).to(LAST_GPU)
    train(model, samples, Recipe(10, 0.01, batch_size=16), generator=seeded())
    assert own.calls == 40


def ask(number: Tensor) -> None:
    """Wait for the GPU, which nothing that is recorded may do."""
    float(number)


def take_too_much(number: Tensor) -> None:
    if torch.cuda.is_current_stream_capturing():
        number.new_empty(2**45)


@on_gpu
@pytest.mark.parametrize("function", [ask, take_too_much])
def test_after_a_recording_that_fails_the_gpu_works_as_before(
    function: Callable[[Tensor], None],
) -> None:
    recipe = Recipe(epochs=4, learning_rate=0.01, batch_size=32)
    before = trained("small-cnn", recipe, is_recorded=True)
    recording, number = Recording(function), torch.zeros(1, device=LAST_GPU)
    for _ in range(WARM_UP):
        recording(number)
    with pytest.raises(RuntimeError):
        recording(number)
    after = trained("small-cnn", recipe, is_recorded=True)
    assert_close(after, before, rtol=0, atol=0)


@on_gpu
@pytest.mark.parametrize("batch_size", [8, 32])
def test_the_work_of_a_training_counts_what_is_not_replayed(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = 0
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        nonlocal replays
        replays += 1
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    model = ModelFactory("small-cnn", 10, (0.5,) * 3, (0.2,) * 3)(0, LAST_GPU)
    recipe = Recipe(epochs=4, learning_rate=0.01, batch_size=batch_size)
    train(model, colour_samples(75).to(LAST_GPU), recipe, generator=seeded())
    work = work_of_training(model, 75, recipe)
    assert replays == work.steps - work.eager
    assert work.recordings == (replays > 0)


@on_gpu
def test_a_recording_is_carried_out_once_per_call() -> None:
    total = torch.zeros(3, device=LAST_GPU)
    calls = 0

    def add(number: Tensor) -> None:
        nonlocal calls
        calls += 1
        total.add_(number)

    recording = Recording(add)
    for number in range(10):
        recording(torch.tensor(float(number), device=LAST_GPU))
    assert total.tolist() == [45.0] * 3
    assert calls == WARM_UP + 1
