"""What a layer computes, and the gradients it gives."""

import torch
from torch import Tensor, nn


def answer_and_gradients(
    model: nn.Module, images: Tensor, direction: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The answer, and the gradients of its inner product with `direction`."""
    images = images.clone().requires_grad_()
    answer = model(images)
    gradients = torch.autograd.grad(answer, [images, *model.parameters()], direction)
    return answer.detach(), list(gradients)
