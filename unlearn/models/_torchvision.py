"""torchvision's classifiers, untrained."""

from torch import Tensor, nn

from unlearn.errors import InputError

PREFIX = "torchvision:"

# They answer with several sets of logits in training unless told not to.
WITH_AUXILIARY_LOGITS = ("googlenet", "inception_v3")


class RepeatGrey(nn.Module):
    """N×1×H×W -> N×3×H×W: the networks are made for colour and have no say in it."""

    def forward(self, images: Tensor) -> Tensor:
        return images.expand(-1, 3, -1, -1)


def torchvision_model(name: str, channels: int, classes: int) -> nn.Module:
    """A classifier of torchvision, freshly initialised.

    Args:
        name: `torchvision:` and the name of a function of `torchvision.models`.
        channels: 3, or 1, which is repeated.

    Raises:
        InputError: torchvision has no classifier of that name.
    """
    from torchvision import models

    short = name.removeprefix(PREFIX)
    if short not in models.list_models(module=models):
        raise InputError(
            f"torchvision has no classifier called {short!r}",
            "use a name that torchvision.models lists, such as torchvision:mobilenet_v3_small",
        )
    options = {}
    if short in WITH_AUXILIARY_LOGITS:
        options = {"aux_logits": False, "init_weights": True}
    network: nn.Module = models.get_model(short, weights=None, num_classes=classes, **options)
    return nn.Sequential(RepeatGrey(), network) if channels == 1 else network
