"""The user's own models, in files outside of the project."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.unlearn.models.samples import (
    CLASSES,
    CPU,
    global_state,
    made,
    random_samples,
    weights,
)
from unlearn.errors import InputError
from unlearn.models import ModelFactory
from unlearn.models._own import source_files

NETS = """
import math
import random

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from layers import head  # beside this file

KEPT = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
STRANGE = np.random.default_rng()


def plain(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), head(16, classes))


class Transformer(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.cut = nn.Conv2d(3, 32, 4, stride=4)
        self.place = nn.Parameter(torch.zeros(1, 4, 32))
        layer = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.norm = nn.LayerNorm(32)
        self.head = head(32, classes)

    def forward(self, images):
        tokens = self.cut(images).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.encoder(tokens).mean(dim=1)))


def drawn_elsewhere(classes):
    model = plain(classes)
    with torch.no_grad():
        model[1].weight[0] = torch.from_numpy(np.random.randn(192))
        model[1].weight[1] = random.random()
    return model


def tied(classes):
    first, second = nn.Linear(16, 16), nn.Linear(16, 16)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), first, second, head(16, classes))


# What cannot be used.


def raises(classes):
    raise RuntimeError(f"no {classes} classes today\\nor ever")


def nothing(classes):
    pass


def without_arguments():
    return plain(5)


def one_more(classes):
    return plain(classes + 1)


class Pair(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = plain(classes)

    def forward(self, images):
        logits = self.inner(images)
        return (logits, logits) if self.training else logits


class Batches(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = plain(classes)

    def forward(self, images):
        return self.inner(images)[:1]


def for_large_images(classes):
    return nn.Sequential(nn.Conv2d(3, 5, 9), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def frozen(classes):
    return plain(classes).requires_grad_(False)


def kept(classes):
    return KEPT


def unseeded(classes):
    model = plain(classes)
    model[1].weight.data[0, 0] = STRANGE.random()
    return model


def lazy(classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def computed(classes):
    return nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(192, classes)))


class Extra(nn.Sequential):
    def get_extra_state(self):
        return {"not": "a tensor"}

    def set_extra_state(self, state):
        pass


def extra(classes):
    return Extra(nn.Flatten(), nn.Linear(192, classes))


class Noisy(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = plain(classes)

    def forward(self, images):
        return self.inner(nn.functional.dropout(images, 0.5))


class Hidden(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = plain(classes)
        self.register_buffer("directions", torch.randn(192, 192), persistent=False)

    def forward(self, images):
        return self.inner(images.flatten(1) @ self.directions)


class HiddenFromTorch(Hidden):
    def __init__(self, classes):
        super().__init__(classes)
        self.directions = None
        self.mine = [torch.randn(192, 192)]

    def forward(self, images):
        return self.inner(images.flatten(1) @ self.mine[0])


def leaves(classes):
    raise SystemExit("enough")


number = 7
"""

LAYERS = """
from torch import nn


def head(features, classes):
    return nn.Linear(features, classes)
"""

GOOD = ("plain", "Transformer", "drawn_elsewhere", "tied")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "layers.py").write_text(LAYERS)
    return tmp_path


@pytest.fixture(autouse=True)
def _forget_modules() -> object:
    """Each test has modules of its own, in folders of its own, under the same names."""
    before, path = set(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and "pytest" in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.mark.parametrize("source", ["nets", "nets.py"])
@pytest.mark.parametrize("name", GOOD)
def test_a_module_and_a_file_make_models_that_are_the_same_for_the_same_seed(
    source: str, name: str, folder: Path
) -> None:
    before = global_state()
    first, again, other = (made(f"{source}:{name}", folder, seed) for seed in (1, 1, 2))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    assert global_state() == before
    assert first.eval()(random_samples(3, 8).images / 255).shape == (6, CLASSES)


def test_images_are_normalised_before_the_model_gets_them(folder: Path) -> None:
    samples = random_samples(3, 8)
    model = ModelFactory.for_data("nets.py:plain", samples, CLASSES, folder)(0, CPU)
    inputs: list[torch.Tensor] = []
    model.get_submodule("1").register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
    model(samples.images / 255)
    torch.testing.assert_close(inputs[0].mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs[0].std(dim=(0, 2, 3)), torch.ones(3))


def test_a_file_may_lie_in_a_folder_below_or_be_absolute(folder: Path) -> None:
    (folder / "below").mkdir()
    for name in ("nets.py", "layers.py"):
        (folder / name).rename(folder / "below" / name)
    relative = made("below/nets.py:plain", folder)
    absolute = made(f"{folder}/below/nets.py:plain", Path("/nowhere"))
    assert torch.equal(weights(relative), weights(absolute))


def test_a_module_may_lie_in_a_package(folder: Path) -> None:
    (folder / "ours").mkdir()
    (folder / "ours/__init__.py").touch()
    (folder / "nets.py").rename(folder / "ours/nets.py")
    assert isinstance(made("ours.nets:plain", folder), nn.Module)


def test_what_a_factory_prints_is_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = """
from torch import nn

print("imported")


def net(classes):
    print("called")
    return nn.Sequential(nn.Flatten(), nn.Linear(192, classes))
"""
    (tmp_path / "talks.py").write_text(code)
    made("talks.py:net", tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert {"imported", "called"} <= set(err.split())


def test_an_installed_module_is_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"torch\.nn:Identity answers .* with \(2, 3, 8, 8\)"):
        made("torch.nn:Identity", tmp_path)


def test_another_process_makes_the_same_model_from_the_pickled_factory(folder: Path) -> None:
    factory = ModelFactory.for_data("nets:drawn_elsewhere", random_samples(3, 8), CLASSES, folder)
    script = """
import pickle, sys, torch
factory = pickle.load(sys.stdin.buffer)
model = factory(3, torch.device("cpu"))
print(sum(p.double().sum().item() for p in model.parameters()))
"""
    answer = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(factory),
        capture_output=True,
        check=True,
        cwd="/",
    )
    expected = sum(p.double().sum().item() for p in factory(3, CPU).parameters())
    assert float(answer.stdout) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere:plain", "nowhere cannot be imported: .*No module named 'nowhere'"),
        ("nowhere.py:plain", "cannot read .*nowhere.py: No such file"),
        (":plain", "cannot be imported"),
        ("nets:", "nets.py has no function called ''"),
        ("nets:missing", "nets.py has no function called 'missing'"),
        ("nets.py:number", "nets.py has no function called 'number'"),
        ("nets:raises", "nets:raises fails when called with 5: RuntimeError: no 5 classes today\n"),
        ("nets:without_arguments", "nets:without_arguments fails when called with 5: TypeError"),
        ("nets:nothing", "nets:nothing makes a NoneType, not a model"),
        ("nets:one_more", r"answers two images with \(2, 6\), not with 2×5 logits"),
        ("nets:Batches", r"answers two images with \(1, 5\), not with 2×5 logits"),
        ("nets:Pair", "answers two images with tuple, not with 2×5 logits"),
        ("nets:for_large_images", "used for 3-channel images of 8×8 pixels: RuntimeError"),
        ("nets:frozen", "has nothing to train"),
        ("nets:kept", "makes the same model again"),
        ("nets:unseeded", "starts from other weights every time"),
        ("nets:lazy", "waits for images to know the shapes of its parameters"),
        ("nets:computed", r"computes 1\.1\.weight from other parameters"),
        ("nets:extra", "keeps something in its state dict"),
        ("nets:Noisy", "answers at random in evaluation"),
        ("nets:Hidden", "keeps something random out of its state dict"),
        ("nets:HiddenFromTorch", "keeps something random out of its state dict"),
        ("nets:leaves", "nets:leaves fails when called with 5: SystemExit: enough"),
    ],
)
def test_what_is_wrong_with_a_model_is_said_in_one_line(
    name: str, words: str, folder: Path
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        made(name, folder)
    assert "\n" not in caught.value.problem + caught.value.remedy


@pytest.mark.parametrize("source", ["broken", "broken.py"])
@pytest.mark.parametrize("content", ["def (:", "import nowhere", "1 / 0"])
def test_a_module_that_cannot_be_imported_is_named_every_time(
    source: str, content: str, folder: Path
) -> None:
    (folder / "broken.py").write_text(content)
    for _ in range(2):
        with pytest.raises(InputError, match=f"{source} cannot be imported: "):
            made(f"{source}:plain", folder)


@pytest.mark.parametrize("source", ["broken", "broken.py"])
def test_a_module_that_ends_the_program_is_named_with_what_to_do(source: str, folder: Path) -> None:
    (folder / "broken.py").write_text("import sys\nsys.exit(0)")
    with pytest.raises(InputError, match=f"{source} ends the program") as caught:
        made(f"{source}:plain", folder)
    assert "__main__" in caught.value.remedy


def test_a_file_that_was_edited_is_read_anew(folder: Path) -> None:
    before = made("nets.py:plain", folder)
    (folder / "nets.py").write_text(NETS.replace("192, 16", "192, 32").replace("(16", "(32"))
    assert len(weights(made("nets.py:plain", folder))) > len(weights(before))


def test_a_module_of_the_same_name_elsewhere_is_not_taken_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("nets:plain", folder)
    (folder / "other").mkdir()
    for name in ("nets.py", "layers.py"):
        (folder / name).rename(folder / "other" / name)
    with pytest.raises(InputError, match=r"nets is not taken from .*other") as caught:
        made("nets:plain", folder / "other")
    assert "rename" in caught.value.remedy
    with pytest.raises(
        InputError, match=r"other/nets.py imports layers, and gets .*/layers.py, wh"
    ):
        made("nets.py:plain", folder / "other")
    monkeypatch.delitem(sys.modules, "layers")
    assert isinstance(made("nets.py:plain", folder / "other"), nn.Module)


@pytest.mark.parametrize("source", ["nets", "nets.py"])
def test_the_fingerprint_is_of_the_file_wherever_it_lies(source: str, folder: Path) -> None:
    factory = ModelFactory.for_data(f"{source}:plain", random_samples(3, 8), CLASSES, folder)
    before = factory.source_fingerprint()
    assert before == factory.source_fingerprint()
    (folder / "nets.py").write_text(NETS + "# edited\n")
    assert before != factory.source_fingerprint()


# What imports look like, of which some fail and are caught.
HELPED = """
from torch import nn

try:
    from . import relative
except ImportError:
    import relative
try:
    import broken.part
except SyntaxError:
    pass
import queue
import package.inner as inner
from spaces.blocks import *
from layers import head


def net(classes):
    from late import late

    return nn.Sequential(nn.Flatten(), nn.Linear(192, 8), head(8, classes))
"""


@pytest.mark.parametrize("source", ["helped", "helped.py", "bundle.helped"])
def test_a_model_is_its_file_with_all_that_it_imports_from_beside_it(
    source: str, folder: Path
) -> None:
    files = {
        f"{source.removesuffix('.py').replace('.', '/')}.py": HELPED,
        **({"bundle/__init__.py": "import relative"} if source.startswith("bundle") else {}),
        "layers.py": "from deeper import head",
        "deeper.py": LAYERS,
        "relative.py": "a = 1",
        "late.py": "late = 1",
        "queue.py": "raise AssertionError('Python has its own')",
        "package/__init__.py": "from .outer import *",
        "package/inner.py": "from . import sibling",
        "package/outer.py": "",
        "package/sibling.py": "",
        "spaces/blocks.py": "",
        "broken/__init__.py": "def (",
        "broken/part.py": "",
    }
    for name, text in {**files, "unused.py": "", "package/unused.py": ""}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    factory = ModelFactory.for_data(f"{source}:net", random_samples(3, 8), CLASSES, folder)
    assert factory.source_files() == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()
    }
    before = factory.source_fingerprint()
    (folder / "unused.py").write_text("a = 2")
    assert factory.source_fingerprint() == before
    (folder / "deeper.py").write_text(LAYERS + "# edited\n")
    assert factory.source_fingerprint() != before


def test_a_file_may_be_a_link(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below/link.py").symlink_to(folder / "nets.py")
    (folder / "layers.py").rename(folder / "below/layers.py")
    factory = ModelFactory.for_data("below/link.py:plain", random_samples(3, 8), CLASSES, folder)
    assert set(factory.source_files() or {}) == {"link.py", "layers.py"}


def test_an_installed_module_is_its_file_alone(folder: Path) -> None:
    content = Path(str(nn.__file__)).read_bytes()
    files = source_files("torch.nn:Identity", str(folder))
    assert files == {"__init__.py": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("name", ["small-cnn", "torchvision:squeezenet1_1"])
def test_only_the_users_models_have_a_fingerprint(name: str) -> None:
    factory = ModelFactory.for_data(name, random_samples(3, 32), CLASSES)
    assert factory.source_fingerprint() is None
