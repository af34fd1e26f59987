"""The architectures that come with the package."""

import pytest
import torch
from torch import Tensor, nn

from tests.unlearn.models.samples import CPU, count, random_samples
from unlearn.errors import InputError
from unlearn.models import ARCHITECTURES, ModelFactory

architectures = pytest.mark.parametrize("name", ARCHITECTURES)


@architectures
@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 7)])
@pytest.mark.parametrize("size", [0, 32])
def test_every_image_gets_one_logit_per_class(
    name: str, channels: int, classes: int, size: int
) -> None:
    samples = random_samples(channels, size or ARCHITECTURES[name].smallest)
    model = ModelFactory.for_data(name, samples, classes)(0, CPU)
    for mode in (model.train(), model.eval()):
        logits = mode(samples.images[:2] / 255)
        assert logits.shape == (2, classes)
        assert logits.isfinite().all()


@architectures
def test_images_too_small_for_a_model_are_refused(name: str) -> None:
    size = ARCHITECTURES[name].smallest - 1
    with pytest.raises(InputError, match=f"{size}×{size} pixels are too small for {name}"):
        ModelFactory.for_data(name, random_samples(1, size), 5)


def shapes_after(model: nn.Module, kind: type[nn.Module], images: Tensor) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = []
    for module in model.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape)))
    model.eval()(images)
    return shapes


def test_resnet18_is_the_one_made_for_cifar() -> None:
    # 11,173,962 parameters with 3 channels and 10 classes, as is well known; a stem without
    # stride and pooling leaves 4×4 positions of a 32×32 image.
    samples = random_samples(3, 32)
    model = ModelFactory.for_data("resnet18", samples, 10)(0, CPU)
    assert count(model) == 11_173_962
    assert shapes_after(model, nn.Conv2d, samples.images[:1] / 255)[-1] == (1, 512, 4, 4)


def test_small_cnn_has_three_convolutions_with_batch_norm_and_one_linear_layer() -> None:
    model = ModelFactory.for_data("small-cnn", random_samples(3, 8), 10)(0, CPU)
    convolutions = 9 * (3 * 32 + 32 * 64 + 64 * 128)
    batch_norms = 2 * (32 + 64 + 128)
    assert count(model) == convolutions + batch_norms + 129 * 10


def test_vgg16_has_the_features_of_torchvisions_and_one_linear_layer() -> None:
    from torchvision.models import vgg16_bn

    with torch.device("meta"):
        theirs = [m for m in vgg16_bn().features if not isinstance(m, nn.ReLU)]
    samples = random_samples(3, 32)
    model = ModelFactory.for_data("vgg16", samples, 10)(0, CPU)
    ours = [m for m in model.get_submodule("1").children() if not isinstance(m, nn.ReLU)]
    for our, their in zip(ours, theirs, strict=False):
        assert isinstance(our, type(their))
        if isinstance(our, nn.Conv2d) and isinstance(their, nn.Conv2d):
            assert our.weight.shape == their.weight.shape
            assert (our.stride, our.padding) == (their.stride, their.padding)
    # Torchvision's convolutions have a bias each, which batch norm makes idle.
    biases = sum(m.out_channels for m in theirs if isinstance(m, nn.Conv2d))
    assert count(model) == sum(count(m) for m in theirs) - biases + 513 * 10
    pooled = [(64, 16), (128, 8), (256, 4), (512, 2), (512, 1)]
    assert shapes_after(model, nn.MaxPool2d, samples.images[:1] / 255) == [
        (1, maps, size, size) for maps, size in pooled
    ]
