"""The answers of a model."""

import copy

import pytest
from torch.testing import assert_close

from tests.unlearn.small import CLASSES, linear, random_samples, with_batch_norm
from unlearn.training import EVALUATION_BATCH, predict

BATCH = EVALUATION_BATCH["cpu"]


@pytest.mark.parametrize("count", [1, BATCH, 2 * BATCH + 1])
def test_predictions_are_the_answers_in_evaluation_mode(count: int) -> None:
    model, samples = with_batch_norm(), random_samples(count)
    predicted = predict(model, samples.images)
    assert predicted.shape == (count, CLASSES)
    assert_close(predicted, model.eval()(samples.images).detach())


@pytest.mark.parametrize("mode", [True, False])
def test_predicting_restores_the_mode_and_leaves_the_model(mode: bool) -> None:
    model = with_batch_norm().train(mode)
    before = copy.deepcopy(model.state_dict())
    predict(model, random_samples(5).images)
    assert all(module.training is mode for module in model.modules())
    assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_predictions_carry_no_gradient() -> None:
    assert not predict(linear(), random_samples(5).images).requires_grad
