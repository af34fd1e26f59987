"""ConMU, controllable machine unlearning (Liu et al., WWW 2024)."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearn.datasets import Samples, to_unit
from unlearn.methods._checks import check_knobs, check_training_batch
from unlearn.methods._method import FloatRange, IntRange, Method, Range, StartingPoint
from unlearn.methods._tuning import TuningConfig, fine_tune
from unlearn.noise import add_gaussian_noise
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.proxy import proxy_divergence, train_proxy
from unlearn.pruning import prune
from unlearn.seeds import derive_seed, generator
from unlearn.selection import el2n, within_bounds
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import cross_entropy, predict


@dataclass(frozen=True)
class ConMUConfig(TuningConfig):
    """The knobs of ConMU, beside those of its fine-tuning, which it prunes before; defaults are the
    paper's for CIFAR-10, ResNet-18, random forgetting.

    Attributes:
        forget_z1, forget_z2: z-bounds (z₁, z₂) of D_f, in standard deviations of its scores.
        retain_z1, retain_z2: z-bounds (z₁′, z₂′) of D_r.
        alpha: noise level α, a non-negative integer.
        sigma, mu: standard deviation σ and mean μ of the unit of noise, in pixel space [0, 1].
        delta: epochs δ the proxy is trained for; 0 is the untrained network.
        gamma: weight γ of the proxy's divergence in the loss.
        temperature: of the divergence; the paper has none, which is 1.
        clip_norm: 2-norm the gradient is clipped to; the paper does not clip.
    """

    epochs: int = 5
    learning_rate: float = 1e-2
    forget_z1: float = 0.85
    forget_z2: float = 1.0
    retain_z1: float = 0.17
    retain_z2: float = 0.30
    alpha: int = 3
    sigma: float = 1.0
    delta: int = 1
    gamma: float = 0.5
    mu: float = 0.0
    temperature: float = 1.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        check_knobs(self, positive=("learning_rate", "temperature", "clip_norm"), signed=("mu",))
        check_training_batch(self.batch_size)


SPACE: dict[str, Range] = {
    "forget_z1": FloatRange(0.0, 2.0),
    "forget_z2": FloatRange(0.0, 2.0),
    "retain_z1": FloatRange(0.0, 2.0),
    "retain_z2": FloatRange(0.0, 2.0),
    "alpha": IntRange(0, 20),
    "sigma": FloatRange(0.1, 2.0, log=True),
    "delta": IntRange(0, 8),
}


def _paper(request: str, retain: str, forget: str, alpha: int) -> StartingPoint:
    """One column of the paper's appendix B; σ and δ are 1 in all of them."""
    retain_z1, retain_z2 = map(float, retain.split())
    forget_z1, forget_z2 = map(float, forget.split())
    return StartingPoint(
        request,
        {
            "forget_z1": forget_z1,
            "forget_z2": forget_z2,
            "retain_z1": retain_z1,
            "retain_z2": retain_z2,
            "alpha": alpha,
            "sigma": 1.0,
            "delta": 1,
        },
    )


# In the paper's order: ResNet-18 on CIFAR-10, CIFAR-100 and SVHN, then VGG-16 on the same.
PAPER_SETTINGS = (
    _paper("random", retain=".17 .30", forget=".85 1.0", alpha=3),
    _paper("random", retain=".16 .25", forget=".18 .20", alpha=4),
    _paper("random", retain=".10 .28", forget=".30 .40", alpha=5),
    _paper("random", retain=".16 .20", forget=".15 .20", alpha=3),
    _paper("random", retain=".35 .45", forget=".37 .40", alpha=5),
    _paper("random", retain=".20 .30", forget=".30 .40", alpha=5),
    _paper("class", retain=".20 .30", forget=".80 1.0", alpha=12),
    _paper("class", retain=".10 .30", forget=".30 .40", alpha=1),
    _paper("class", retain=".20 .30", forget=".50 .80", alpha=4),
    _paper("class", retain=".30 .40", forget=".50 .80", alpha=20),
    _paper("class", retain=".35 .45", forget=".85 1.0", alpha=10),
    _paper("class", retain=".20 .30", forget=".50 .80", alpha=4),
)


def unlearn(
    problem: Problem,
    config: ConMUConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None = None,
) -> Unlearned:
    """Carry out one forget request with ConMU.

    Args:
        seed: decides the noise, the order of fine-tuning and, unless precomputed, the proxy.
        precomputed: scores and proxies to use instead of making them, where they fit the config.

    Returns:
        θ_u with the pruned weights at zero. Flag `empty_selection`: the z-bounds kept no sample,
        so no step was taken and θ_u is the pruned θ_o.
    """
    model = copy.deepcopy(problem.original)
    with stopwatch.phase("prune", Work(steps=1)):
        masks = prune(model, config.pruning_rate)
    forget_scores, retain_scores = _scores(problem, model, config, stopwatch, precomputed)
    with stopwatch.phase("select", Work(1, len(forget_scores) + len(retain_scores))):
        forget = problem.forget.take(
            within_bounds(forget_scores, config.forget_z1, config.forget_z2)
        )
        retain = problem.retain.take(
            within_bounds(retain_scores, config.retain_z1, config.retain_z2)
        )
    noised = len(forget) if config.alpha else 0
    with stopwatch.phase("noise", Work(1, noised)):
        noisy = add_gaussian_noise(
            forget.images,
            alpha=config.alpha,
            sigma=config.sigma,
            mu=config.mu,
            generator=generator(seed, "noise"),
        )
        new = Samples(
            torch.cat([noisy, to_unit(retain.images)]), torch.cat([forget.labels, retain.labels])
        )
    proxy = _proxy(problem, config, seed, stopwatch, precomputed)
    with stopwatch.phase("distil", Work(1, len(new))):
        # D_new is fixed and the proxy is in evaluation mode: its answers are the same every epoch.
        proxy_logits = predict(proxy, new.images) if len(new) else torch.empty(0)

    def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        divergence = proxy_divergence(logits, proxy_logits[positions], config.temperature)
        return cross_entropy(logits, labels, positions) + config.gamma * divergence

    fine_tune(model, masks, new, config, problem, seed, stopwatch, loss, clip_norm=config.clip_norm)
    return Unlearned(
        model,
        masks,
        sizes={"forget": len(forget), "retain": len(retain)},
        flags=() if len(new) else ("empty_selection",),
    )


def _scores(
    problem: Problem,
    pruned: nn.Module,
    config: ConMUConfig,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None,
) -> tuple[Tensor, Tensor]:
    if precomputed is not None and precomputed.pruning_rate == config.pruning_rate:
        stopwatch.charge("score", precomputed.scoring)
        return precomputed.forget_scores, precomputed.retain_scores
    with stopwatch.phase("score", Work(1, len(problem.forget) + len(problem.retain))):
        return el2n(pruned, problem.forget), el2n(pruned, problem.retain)


def _proxy(
    problem: Problem,
    config: ConMUConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None,
) -> nn.Module:
    if precomputed is None or config.delta >= len(precomputed.proxies):
        return train_proxy(problem, config.delta, derive_seed(seed, "proxy"), stopwatch)
    proxy = copy.deepcopy(problem.original)  # quicker than to initialise another network
    proxy.load_state_dict(precomputed.proxies[config.delta])
    stopwatch.charge("train", precomputed.proxy_training[config.delta])
    return proxy.eval()


METHOD = Method("conmu", ConMUConfig, SPACE, unlearn, PAPER_SETTINGS, takes_precomputed=True)
