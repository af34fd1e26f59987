"""What a model cannot do is found before it is trained, and how its tensors have to lie."""

from pathlib import Path

import pytest
import torch

from tests.unlearn.models.samples import made, random_samples, weights
from unlearn.errors import InputError

ODD = """
import torch
from torch import nn


class Odd(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Linear(6 * 4 * 4, classes)
        {made}

    def forward(self, images):
        hidden = nn.functional.max_pool2d(self.first(images).relu(), 2)
        {called}
        return self.last(hidden.{flat})
    {more}
"""
VIEW = "view(-1, 6 * 4 * 4)"


def odd(folder: Path, made: str = "", called: str = "", more: str = "", flat: str = VIEW) -> str:
    parts = {"made": made, "called": called, "more": more, "flat": flat}
    (folder / "odd.py").write_text(ODD.format(**parts))
    return "odd.py:Odd"


@pytest.mark.parametrize("when", ["True", "not self.training"])
def test_a_model_may_count_on_how_pytorch_lays_tensors(when: str, tmp_path: Path) -> None:
    called = f"hidden = hidden.{VIEW} if {when} else hidden"
    view = made(odd(tmp_path, called=called, flat="flatten(1)"), tmp_path)
    flat = made(odd(tmp_path, flat="flatten(1)"), tmp_path)
    assert weights(view).equal(weights(flat))
    images = random_samples(3, 8).images / 255
    losses = [model.train()(images).square().sum() for model in (view, flat)]
    for loss in losses:
        loss.backward()
    for mine, theirs in zip(view.parameters(), flat.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"called": "self.late = nn.Linear(2, 2)"}, "makes parts of itself when it is first"),
        ({"called": "self.register_buffer('late', torch.ones(1))"}, "makes parts of itself"),
        (
            {"more": "def get_extra_state(self): return torch.ones(1)"},
            "does not take its own state dict",
        ),
        ({"made": "self.kept = []", "called": "self.kept.append(hidden)"}, "cannot be copied"),
        ({"called": "hidden = hidden.detach().numpy()", "flat": "sum()"}, "cannot be used"),
        ({"flat": f"{VIEW}).detach("}, "cannot be trained: RuntimeError"),
        ({"made": "self.norm = nn.LazyBatchNorm2d(affine=False)"}, "waits for images to know"),
    ],
)
def test_what_a_model_cannot_do_is_found_before_it_is_trained(
    part: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        made(odd(tmp_path, **part), tmp_path)
