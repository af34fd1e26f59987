"""The unlearning proxy θ_I (ConMU, Eqs. 6 and 8): a young network that has only seen D_r."""

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from unlearn.checkpoint import on_cpu
from unlearn.problem import Problem, StateDict
from unlearn.stopwatch import Phase, Stopwatch, Work
from unlearn.training import train_from_scratch, work_of_training


def training_work(problem: Problem, epochs: int) -> Work:
    """The work of training a new network on D_r for so many epochs of θ_o's recipe.

    One step is to make the network. Updates are not counted but for the eager ones and recordings:
    every epoch has as many, so that samples say it all.
    """
    updates = work_of_training(problem.original, len(problem.retain), problem.recipe, epochs)
    return replace(updates, steps=1)


def train_proxy(problem: Problem, epochs: int, seed: int, stopwatch: Stopwatch) -> nn.Module:
    """A fresh, dense network trained on all of D_r for `epochs` (δ) epochs of θ_o's recipe."""
    with stopwatch.phase("train", training_work(problem, epochs)):
        return train_from_scratch(
            problem.build, problem.retain, problem.recipe, seed, epochs=epochs
        )


def proxy_snapshots(
    problem: Problem, epochs: int, seed: int
) -> tuple[list[StateDict], list[Phase]]:
    """The state dicts, on the CPU, of `train_proxy` for 0, 1, …, `epochs` epochs, in one training,
    and what each of them took, without the copies."""
    stopwatch = Stopwatch(problem.device)
    untrained = train_proxy(problem, 0, seed, stopwatch)
    snapshots, costs = [on_cpu(untrained.state_dict())], [stopwatch.phases["train"]]
    took, resumed = 0.0, stopwatch.now()

    def keep(epoch: int, model: nn.Module) -> None:
        nonlocal took, resumed
        took += stopwatch.now() - resumed
        costs.append(Phase(training_work(problem, epoch), took))
        snapshots.append(on_cpu(model.state_dict()))
        resumed = stopwatch.now()

    train_from_scratch(
        problem.build, problem.retain, problem.recipe, seed, epochs=epochs, after_epoch=keep
    )
    return snapshots, costs


def proxy_divergence(logits: Tensor, proxy_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(θ_I(x) ‖ θ_u(x)) in nats, averaged over the batch (ConMU, Eq. 8).

    The proxy comes first, and no gradient reaches it. (The authors' code has the two the other
    way round, at temperature 2.) A temperature T other than 1 softens both distributions and
    scales by T², so that the gradient keeps its size (Hinton et al. 2015).

    Args:
        logits: B×C of θ_u.
        proxy_logits: B×C of θ_I.
    """
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(proxy_logits.detach() / temperature, dim=1),
        log_target=True,
        reduction="batchmean",
    )
    return divergence * temperature**2
