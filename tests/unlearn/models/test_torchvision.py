"""torchvision's classifiers."""

import warnings

import pytest
import torch
from torch import nn
from torchvision import models

from tests.unlearn.models.samples import CPU, count, random_samples, weights
from unlearn.datasets import Samples
from unlearn.errors import InputError
from unlearn.models import ModelFactory

SMALL = "torchvision:mobilenet_v3_small"


def test_a_classifier_is_torchvisions_with_our_number_of_classes() -> None:
    ours = ModelFactory.for_data(SMALL, random_samples(3, 32), 7)(0, CPU)
    theirs = models.mobilenet_v3_small(num_classes=7)
    # But for what its convolutions are called.
    assert str(ours.get_submodule("1")).replace("Convolution", "Conv2d") == str(theirs)
    assert count(ours) == count(theirs)


def test_equal_seeds_make_equal_weights_and_others_do_not() -> None:
    factory = ModelFactory.for_data(SMALL, random_samples(3, 32), 7)
    assert torch.equal(weights(factory(3, CPU)), weights(factory(3, CPU)))
    assert not torch.equal(weights(factory(3, CPU)), weights(factory(4, CPU)))


def test_grey_images_are_taken_as_colour_ones_without_colour() -> None:
    grey = random_samples(1, 32)
    repeated = Samples(grey.images.repeat(1, 3, 1, 1), grey.labels)
    model, colour = (
        ModelFactory.for_data(SMALL, samples, 7)(0, CPU).eval() for samples in (grey, repeated)
    )
    images = grey.images / 255
    torch.testing.assert_close(model(images), colour(images.repeat(1, 3, 1, 1)))


# With dropout and no batch norm; with auxiliary logits.
@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet"])
def test_classifiers_of_every_kind_can_be_used(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        factory = ModelFactory.for_data(f"torchvision:{name}", random_samples(3, 32), 3)
    assert isinstance(factory(0, CPU), nn.Module)


@pytest.mark.parametrize("name", ["mobilenet", "fcn_resnet50", "resnet18_", ""])
def test_what_is_no_classifier_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"torchvision has no classifier called '{name}'"):
        ModelFactory.for_data(f"torchvision:{name}", random_samples(3, 32), 7)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [("alexnet", 32, "too small"), ("vit_b_32", 32, "Expected 224 but got 32")],
)
def test_images_of_a_size_that_a_model_does_not_take_are_refused_with_its_reason(
    name: str, size: int, reason: str
) -> None:
    with pytest.raises(InputError, match=f"images of {size}×{size} pixels.*{reason}") as caught:
        ModelFactory.for_data(f"torchvision:{name}", random_samples(3, size), 7)
    assert "\n" not in caught.value.problem
