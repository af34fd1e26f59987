"""FT; what it shares with GA is in `test_tuning.py`."""

from torch.nn import functional as F

from unlearn.methods import FloatRange, IntRange
from unlearn.methods.ft import METHOD, FTConfig, unlearn
from unlearn.problem import Problem
from unlearn.stopwatch import Stopwatch
from unlearn.training import predict


def test_it_lowers_the_loss_on_the_retained_samples(problem: Problem) -> None:
    images, labels = problem.retain
    losses = []
    for epochs in (0, 2):
        config = FTConfig(epochs=epochs, batch_size=32)
        outcome = unlearn(problem, config, 0, Stopwatch(problem.device))
        losses.append(float(F.cross_entropy(predict(outcome.model, images), labels)))
    assert losses[1] < losses[0]


def test_it_is_searched_like_the_papers_naive_control() -> None:
    assert METHOD.space == {
        "epochs": IntRange(5, 35),
        "learning_rate": FloatRange(1e-4, 1e-1, log=True),
    }
