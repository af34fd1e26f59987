"""Training in bfloat16 rounds what is multiplied, and nothing else."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.unlearn.small import linear, random_samples, seeded
from unlearn.precision import Precision, multiplying
from unlearn.training import Recipe, cross_entropy, predict, train

CPU = torch.device("cpu")


def product(precision: Precision) -> Tensor:
    matrix = torch.rand(8, 8, generator=seeded())
    with multiplying(precision, CPU):
        return matrix @ matrix


def test_products_are_rounded_to_the_precision_that_is_asked_for() -> None:
    exact = product("float32")
    assert exact.dtype == torch.float32
    rounded = product("bfloat16")
    assert rounded.dtype == torch.bfloat16
    assert_close(rounded.float(), exact, rtol=3 * 2**-8, atol=0)
    assert product("auto").dtype in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_losses_weights_and_answers_stay_float32(precision: Precision) -> None:
    model, samples = linear(), random_samples(40)
    seen: list[Tensor] = []

    def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        seen.append(logits)
        return cross_entropy(logits, labels, positions)

    recipe = Recipe(epochs=1, learning_rate=0.1, batch_size=10, precision=precision)
    train(model, samples, recipe, generator=seeded(), loss=loss)
    assert {logits.dtype for logits in seen} == {torch.float32}
    is_rounded = [logits.equal(logits.bfloat16().float()) for logits in seen]
    assert is_rounded == [precision == "bfloat16"] * 4
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    weight = next(model.parameters())
    assert not weight.equal(weight.bfloat16().float())
    answers = predict(model, samples.images)
    assert not answers.equal(answers.bfloat16().float())


def test_double_precision_stays_what_it_is() -> None:
    model = nn.Sequential(Doubled(), linear().double())
    seen: list[Tensor] = []

    def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        seen.append(logits)
        return cross_entropy(logits, labels, positions)

    recipe = Recipe(epochs=1, learning_rate=0.1)
    train(model, random_samples(8), recipe, generator=seeded(), loss=loss)
    assert [logits.dtype for logits in seen] == [torch.float64]


class Doubled(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.double()
