"""Models by name."""

import pytest
import torch
from torch import Tensor, nn

from unlearn.datasets import Samples
from unlearn.errors import InputError
from unlearn.models import ARCHITECTURES, ModelFactory

CPU = torch.device("cpu")
architectures = pytest.mark.parametrize("name", ARCHITECTURES)


def random_samples(channels: int, size: int) -> Samples:
    images = torch.randint(
        0, 256, (6, channels, size, size), generator=torch.Generator().manual_seed(0)
    )
    return Samples(images.to(torch.uint8), torch.zeros(6, dtype=torch.int64))


@architectures
@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 8, 10), (3, 32, 7)])
def test_every_image_gets_one_logit_per_class(
    name: str, channels: int, size: int, classes: int
) -> None:
    samples = random_samples(channels, size)
    model = ModelFactory.for_data(name, samples, classes)(0, CPU).eval()
    logits = model(samples.images[:2] / 255)
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


def test_resnet18_is_the_one_made_for_cifar() -> None:
    # 11,173,962 parameters with 3 channels and 10 classes, as is well known; a stem without
    # stride and pooling leaves 4×4 positions of a 32×32 image.
    samples = random_samples(3, 32)
    model = ModelFactory.for_data("resnet18", samples, 10)(0, CPU).eval()
    shapes: list[tuple[int, ...]] = []
    network = model.get_submodule("1")
    network.get_submodule("layer4").register_forward_hook(
        lambda _module, _inputs, output: shapes.append(tuple(output.shape))
    )
    model(samples.images[:1] / 255)
    assert sum(p.numel() for p in model.parameters()) == 11_173_962
    assert shapes == [(1, 512, 4, 4)]


def test_small_cnn_has_three_convolutions_with_batch_norm_and_one_linear_layer() -> None:
    model = ModelFactory.for_data("small-cnn", random_samples(3, 8), 10)(0, CPU)
    convolutions = 9 * (3 * 32 + 32 * 64 + 64 * 128)
    batch_norms = 2 * (32 + 64 + 128)
    assert sum(p.numel() for p in model.parameters()) == convolutions + batch_norms + 129 * 10


@architectures
def test_images_are_normalised_by_the_statistics_of_the_training_data(name: str) -> None:
    samples = random_samples(3, 8)
    model = ModelFactory.for_data(name, samples, 5)(0, CPU).eval()
    images = samples.images.double() / 255
    channels = images.transpose(0, 1).flatten(1)
    mean, std = channels.mean(dim=1), channels.std(dim=1)
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    network = model.get_submodule("1")
    torch.testing.assert_close(model(images.float()), network(normalised.float()))


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    samples = random_samples(3, 8)
    samples.images[:, 1] = 200
    model = ModelFactory.for_data("small-cnn", samples, 5)(0, CPU).eval()
    assert model(samples.images / 255).isfinite().all()


def test_the_statistics_travel_in_the_state_dict() -> None:
    factory = ModelFactory.for_data("small-cnn", random_samples(3, 8), 5)
    other = ModelFactory("small-cnn", 5, mean=(0.0,) * 3, std=(1.0,) * 3)(0, CPU)
    model = factory(0, CPU)
    other.load_state_dict(model.state_dict())
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(other.eval()(images), model.eval()(images))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in model.parameters()])


@architectures
def test_equal_seeds_make_equal_weights(name: str) -> None:
    factory = ModelFactory.for_data(name, random_samples(1, 8), 5)
    assert torch.equal(weights(factory(3, CPU)), weights(factory(3, CPU)))


@architectures
def test_different_seeds_make_different_weights(name: str) -> None:
    factory = ModelFactory.for_data(name, random_samples(1, 8), 5)
    assert not torch.equal(weights(factory(3, CPU)), weights(factory(4, CPU)))


@architectures
def test_building_leaves_the_global_random_state(name: str) -> None:
    factory = ModelFactory.for_data(name, random_samples(1, 8), 5)
    before = torch.get_rng_state()
    factory(3, CPU)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_building_leaves_the_random_state_of_the_gpu() -> None:
    factory = ModelFactory.for_data("small-cnn", random_samples(1, 8), 5)
    before = torch.cuda.get_rng_state()
    factory(3, torch.device("cuda"))
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_an_unknown_model_is_refused_and_the_known_ones_listed() -> None:
    with pytest.raises(InputError, match="no model is called 'vgg'") as caught:
        ModelFactory.for_data("vgg", random_samples(1, 8), 5)
    assert all(name in caught.value.remedy for name in ARCHITECTURES)


@architectures
def test_images_too_small_for_a_model_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="7×7 pixels are too small"):
        ModelFactory.for_data(name, random_samples(1, 7), 5)
