"""From a model's name to freshly initialised networks."""

import pytest
import torch

from tests.unlearn.models.samples import CPU, global_state, random_samples, weights
from unlearn.errors import InputError
from unlearn.models import ARCHITECTURES, ModelFactory, Normalisation

architectures = pytest.mark.parametrize("name", ARCHITECTURES)


def factory_of(name: str, channels: int = 1, classes: int = 5) -> ModelFactory:
    samples = random_samples(channels, ARCHITECTURES[name].smallest)
    return ModelFactory.for_data(name, samples, classes)


@architectures
def test_images_are_normalised_by_the_statistics_of_the_training_data(name: str) -> None:
    samples = random_samples(3, ARCHITECTURES[name].smallest)
    model = factory_of(name, channels=3)(0, CPU).eval()
    images = samples.images.double() / 255
    channels = images.transpose(0, 1).flatten(1)
    mean, std = channels.mean(dim=1), channels.std(dim=1)
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    network = model.get_submodule("1")
    torch.testing.assert_close(model(images.float()), network(normalised.float()))


def test_images_are_normalised_as_is_asked_for() -> None:
    samples, asked = random_samples(3, 8), Normalisation((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    factory = ModelFactory.for_data("small-cnn", samples, 5, normalisation=asked)
    model, images = factory(0, CPU).eval(), samples.images / 255
    by_hand = torch.stack([(images[:, c] - asked.mean[c]) / asked.std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(model(images), factory.network(model)(by_hand))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_normalisation_for_another_number_of_channels_is_refused(channels: int) -> None:
    asked = Normalisation((0.5,) * channels, (0.5,) * channels)
    with pytest.raises(InputError, match=f"for {channels} channels, the images have 3"):
        ModelFactory.for_data("small-cnn", random_samples(3, 8), 5, normalisation=asked)


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


@architectures
def test_equal_seeds_make_equal_weights(name: str) -> None:
    factory = factory_of(name)
    assert torch.equal(weights(factory(3, CPU)), weights(factory(3, CPU)))


@architectures
def test_different_seeds_make_different_weights(name: str) -> None:
    factory = factory_of(name)
    assert not torch.equal(weights(factory(3, CPU)), weights(factory(4, CPU)))


@architectures
def test_building_leaves_the_global_random_state(name: str) -> None:
    factory = factory_of(name)
    before = global_state()
    factory(3, CPU)
    assert global_state() == before


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
