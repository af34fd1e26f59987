"""One-shot global magnitude pruning."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from unlearn.pruning import mask_gradients, prune, sparsity

RATES = [0.0, 0.1, 0.333, 0.5, 0.9, 0.999]


@pytest.fixture
def model() -> nn.Sequential:
    """Convolutions, batch norm and a linear layer, with weights of different sizes."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 5, 3, bias=False),
        nn.Flatten(),
        nn.Linear(20, 4),
    )
    for scale, parameter in enumerate(model.parameters(), start=1):
        nn.init.normal_(parameter, std=scale, generator=generator)
    return model


def prunable(model: nn.Sequential) -> list[tuple[nn.Module, str]]:
    return [(model[i], "weight") for i in (0, 3, 5)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_same_weights_go_as_in_torch(
    model: nn.Sequential, rate: float, memory_format: torch.memory_format
) -> None:
    theirs = copy.deepcopy(model)
    ours = model.to(memory_format=memory_format)
    count = round(rate * sum(m.get_parameter(name).numel() for m, name in prunable(theirs)))
    torch_prune.global_unstructured(prunable(theirs), torch_prune.L1Unstructured, amount=count)
    masks = prune(ours, rate)
    for name, mask in masks.items():
        layer = theirs.get_submodule(name.removesuffix(".weight"))
        assert torch.equal(mask, layer.get_buffer("weight_mask"))
        assert torch.equal(ours.get_parameter(name), layer.get_parameter("weight_orig") * mask)


@pytest.mark.parametrize("rate", RATES)
def test_the_count_of_pruned_weights_is_exact_even_among_equals(
    model: nn.Sequential, rate: float
) -> None:
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    masks = prune(model, rate)
    total = 8 * 27 + 5 * 72 + 80
    pruned = sum(int((module.get_parameter(name) == 0).sum()) for module, name in prunable(model))
    assert pruned == round(rate * total)
    assert sum(int((mask == 0).sum()) for mask in masks.values()) == pruned


def test_weights_that_stay_keep_their_values(model: nn.Sequential) -> None:
    before = copy.deepcopy(model)
    masks = prune(model, 0.5)
    for name, mask in masks.items():
        kept = mask.bool()
        assert torch.equal(model.get_parameter(name)[kept], before.get_parameter(name)[kept])


def test_biases_and_batch_norm_are_left(model: nn.Sequential) -> None:
    before = copy.deepcopy(model.state_dict())
    masks = prune(model, 0.9)
    for name in before.keys() - masks.keys():
        assert torch.equal(model.state_dict()[name], before[name])
    assert masks.keys() == {"0.weight", "3.weight", "5.weight"}


def test_magnitudes_are_compared_over_the_whole_network(model: nn.Sequential) -> None:
    nn.init.constant_(model.get_parameter("0.weight"), -0.001)
    nn.init.constant_(model.get_parameter("3.weight"), 5.0)
    nn.init.constant_(model.get_parameter("5.weight"), -3.0)
    total = 8 * 27 + 5 * 72 + 80
    prune(model, (8 * 27 + 80) / total)
    assert not model.get_parameter("0.weight").any()
    assert not model.get_parameter("5.weight").any()
    assert (model.get_parameter("3.weight") == 5).all()


@pytest.mark.parametrize("rate", RATES)
def test_a_weight_that_layers_share_counts_once(model: nn.Sequential, rate: float) -> None:
    model.append(nn.Linear(20, 4))
    model[-1].weight = model[5].weight
    masks = prune(model, rate)
    total = 8 * 27 + 5 * 72 + 80
    assert masks.keys() == {"0.weight", "3.weight", "5.weight"}
    assert sum(int((mask == 0).sum()) for mask in masks.values()) == round(rate * total)
    assert sparsity(model) == pytest.approx(round(rate * total) / total)


def test_a_bare_layer_can_be_pruned() -> None:
    layer = nn.Linear(10, 10)
    masks = prune(layer, 0.25)
    assert masks.keys() == {"weight"}
    assert int((layer.weight == 0).sum()) == 25


def test_a_model_without_weights_to_prune_has_no_masks() -> None:
    assert prune(nn.BatchNorm2d(3), 0.5) == {}


def test_sparsity_is_the_share_of_zeros(model: nn.Sequential) -> None:
    assert sparsity(model) == 0
    nn.init.zeros_(model.get_parameter("3.weight"))
    nn.init.zeros_(model.get_parameter("0.bias"))
    assert sparsity(model) == 360 / (216 + 360 + 80)


def test_masked_gradients_vanish_and_the_others_stay(model: nn.Sequential) -> None:
    masks = prune(model, 0.5)
    model(torch.ones(2, 3, 6, 6)).sum().backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    mask_gradients(model, masks)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        mask = masks.get(name, torch.ones_like(parameter))
        assert torch.equal(parameter.grad, before[name] * mask)


def test_frozen_weights_have_no_gradient_to_mask(model: nn.Sequential) -> None:
    masks = prune(model, 0.5)
    model.get_parameter("0.weight").requires_grad_(False)
    model(torch.ones(2, 3, 6, 6)).sum().backward()
    mask_gradients(model, masks)
    gradient = model.get_parameter("5.weight").grad
    assert gradient is not None
    assert (gradient[masks["5.weight"] == 0] == 0).all()
    assert model.get_parameter("0.weight").grad is None


def test_no_masks_leave_all_gradients() -> None:
    model = nn.BatchNorm1d(3)
    model(torch.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, 1.0]])).sum().backward()
    mask_gradients(model, prune(model, 0.5))
    assert torch.equal(model.bias.grad, torch.full((3,), 2.0))  # type: ignore[arg-type]
