"""ConMU as one writes it down from the paper, in ordinary PyTorch: what ours is measured against.

Nothing here comes from `unlearn` or `objectives`. A Dataset normalises one image at a time, as
torchvision does it, DataLoaders make batches, `torch.nn.utils.prune` prunes, all of it in float32,
and every trial computes everything anew: scores, proxy, the proxy's answers in every epoch of
fine-tuning, and the authors' support-vector attack.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torchvision import models, transforms

Item = tuple[Tensor, Tensor]

PRUNING_RATE = 0.1
GAMMA = 0.5
EPOCHS = 5
LEARNING_RATE = 1e-2
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
BATCH_SIZE = 128


def small_cnn(channels: int, classes: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        nn.MaxPool2d(2),
        *(nn.Conv2d(64, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


def resnet18(channels: int, classes: int) -> nn.Module:
    """For images of 32×32 pixels."""
    model: nn.Module = models.resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


NETWORKS = {"small-cnn": small_cnn, "resnet18": resnet18}
"""(channels, classes) -> network; with the parameter names that ours have."""


class Images(Dataset[Item]):
    """Labelled images, normalised as they are asked for."""

    def __init__(
        self, images: Tensor, labels: Tensor, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """
        Args:
            images: N×C×H×W, uint8, or float in pixel space [0, 1].
            mean, std: per channel, in pixel space.
        """
        self.images, self.labels, self.mean, self.std = images, labels, mean, std
        self.transform = transforms.Compose(
            [transforms.ConvertImageDtype(torch.float32), transforms.Normalize(mean, std)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        return self.transform(self.images[index]), self.labels[index]

    def take(self, positions: Tensor) -> "Images":
        return Images(self.images[positions], self.labels[positions], self.mean, self.std)

    def with_noise(self, alpha: int, sigma: float) -> "Images":
        """Images + α·N, N ~ 𝒩(0, σ²), drawn once (Eq. 5)."""
        clean = self.images.float() / 255
        noisy = clean + alpha * sigma * torch.randn_like(clean)
        return Images(noisy, self.labels, self.mean, self.std)


@dataclass(frozen=True)
class Request:
    """A model and what it shall forget, drawn at random from what it was trained on.

    Attributes:
        new_network: a freshly initialised network, from normalised images to logits.
        original: θ_o's state dict.
        forget, retain, test: D_f, D_r, and test data.
        epochs, learning_rate, momentum, weight_decay, batch_size: θ_o's recipe, and so the
            proxy's; the learning rate goes down to 0 by a cosine.
        device: where the networks are.
        loaders: processes that prepare batches; 0 is this one.
    """

    new_network: Callable[[], nn.Module]
    original: Mapping[str, Tensor]
    forget: Images
    retain: Images
    test: Images
    epochs: int
    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int
    device: torch.device
    loaders: int = 0

    def batches(self, data: Dataset[Item], batch_size: int, *, train: bool) -> DataLoader[Item]:
        """Shuffled for training, where batch norm cannot do with a last batch of one sample."""
        size = len(data)  # type: ignore[arg-type]
        alone = train and size > batch_size and size % batch_size == 1
        return DataLoader(
            data, batch_size, shuffle=train, drop_last=alone, num_workers=self.loaders
        )


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        kept_forget, kept_retain: positions of D_f′ in D_f and of D_r′ in D_r.
        ta, fa, ra, mia: in percent.
    """

    kept_forget: Tensor
    kept_retain: Tensor
    ta: float
    fa: float
    ra: float
    mia: float


def run_trial(request: Request, params: Mapping[str, Any], seed: int) -> Result:
    """Unlearn with these values of what is searched, and score the outcome.

    Args:
        seed: torch's global random state is set to it.
    """
    torch.manual_seed(seed)
    model = request.new_network().to(request.device)
    model.load_state_dict(request.original)
    prune_by_magnitude(model)
    kept_forget = select(
        el2n(model, request.forget, request), params["forget_z1"], params["forget_z2"]
    )
    kept_retain = select(
        el2n(model, request.retain, request), params["retain_z1"], params["retain_z2"]
    )
    noisy = request.forget.take(kept_forget).with_noise(params["alpha"], params["sigma"])
    proxy = train_proxy(request, params["delta"])
    fine_tune(model, proxy, ConcatDataset([noisy, request.retain.take(kept_retain)]), request)
    return Result(kept_forget, kept_retain, **evaluate(model, request))


def prune_by_magnitude(model: nn.Module) -> None:
    """One-shot magnitude pruning over all convolutions and linear layers."""
    weights = [(m, "weight") for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=PRUNING_RATE)


@torch.no_grad()
def probabilities(model: nn.Module, data: Images, request: Request) -> Tensor:
    """N×C, on the CPU."""
    model.eval()
    loader = request.batches(data, BATCH_SIZE, train=False)
    return torch.cat(
        [model(images.to(request.device)).softmax(dim=1).cpu() for images, _ in loader]
    )


def el2n(model: nn.Module, data: Images, request: Request) -> Tensor:
    """Scores of Eq. 1, in the order of the data."""
    answers = probabilities(model, data, request)
    scores: Tensor = (answers - F.one_hot(data.labels, answers.shape[1])).norm(dim=1)
    return scores


def select(scores: Tensor, z1: float, z2: float) -> Tensor:
    """Positions of the scores in [m − z₁·s, m + z₂·s] (Eqs. 2-4, 7)."""
    values = scores.double().numpy()
    mean, std = values.mean(), values.std()
    kept = (values >= mean - z1 * std) & (values <= mean + z2 * std)
    return torch.from_numpy(np.flatnonzero(kept))


def train_proxy(request: Request, epochs: int) -> nn.Module:
    """θ_I: the first epochs of θ_o's recipe on D_r (Eq. 6)."""
    proxy = request.new_network().to(request.device)
    loader = request.batches(request.retain, request.batch_size, train=True)
    optimizer = torch.optim.SGD(
        proxy.parameters(),
        lr=request.learning_rate,
        momentum=request.momentum,
        weight_decay=request.weight_decay,
    )
    scheduler = CosineAnnealingLR(optimizer, request.epochs * len(loader))
    proxy.train()
    for _ in range(epochs):
        for images, labels in loader:
            images, labels = images.to(request.device), labels.to(request.device)
            optimizer.zero_grad()
            F.cross_entropy(proxy(images), labels).backward()
            optimizer.step()
            scheduler.step()
    return proxy.eval()


def fine_tune(model: nn.Module, proxy: nn.Module, data: Dataset[Item], request: Request) -> None:
    """CE + γ·KL(θ_I ‖ θ_u) on D_f″ ∪ D_r′ (Eq. 8)."""
    if not len(data):  # type: ignore[arg-type]
        return
    loader = request.batches(data, BATCH_SIZE, train=True)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    model.train()
    for _ in range(EPOCHS):
        for images, labels in loader:
            images, labels = images.to(request.device), labels.to(request.device)
            with torch.no_grad():
                target = F.softmax(proxy(images), dim=1)
            logits = model(images)
            divergence = F.kl_div(F.log_softmax(logits, dim=1), target, reduction="batchmean")
            loss = F.cross_entropy(logits, labels) + GAMMA * divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def evaluate(model: nn.Module, request: Request) -> dict[str, float]:
    """TA, FA, RA and MIA, in percent."""
    forget, retain, test = (
        probabilities(model, data, request)
        for data in (request.forget, request.retain, request.test)
    )
    return {
        "ta": accuracy(test, request.test.labels),
        "fa": accuracy(forget, request.forget.labels),
        "ra": accuracy(retain, request.retain.labels),
        "mia": svc_attack(
            confidence(retain, request.retain.labels),
            confidence(test, request.test.labels),
            confidence(forget, request.forget.labels),
        ),
    }


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    return 100 * float((probabilities.argmax(dim=1) == labels).float().mean())


def confidence(probabilities: Tensor, labels: Tensor) -> Tensor:
    return probabilities[torch.arange(len(labels)), labels]


def svc_attack(retain: Tensor, test: Tensor, forget: Tensor) -> float:
    """The share of D_f that a classifier of members (D_r) and non-members (test data), equally many
    of both, takes for non-members; all by their confidence."""
    count = min(len(retain), len(test))
    members = retain[torch.randperm(len(retain))[:count]]
    nonmembers = test[torch.randperm(len(test))[:count]]
    classifier = SVC(C=10, gamma="auto", kernel="rbf")
    classifier.fit(
        torch.cat([members, nonmembers])[:, None].numpy(), np.repeat([1, 0], [count, count])
    )
    return 100 * float((classifier.predict(forget[:, None].numpy()) == 0).mean())
