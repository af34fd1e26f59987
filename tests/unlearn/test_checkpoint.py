"""Weights in files: what plain PyTorch has written, read, and the other way round."""

import argparse
import json
import pickle
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor, nn
from torchvision.models import squeezenet1_1

from tests.unlearn.models.samples import CPU, random_samples
from unlearn.checkpoint import fitted, load_checkpoint, not_finite, save_checkpoint
from unlearn.errors import InputError
from unlearn.models import ModelFactory, Normalisation

CLASSES = 4
MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.2, 0.1)

# A part of the second one is called as DataParallel calls what it wraps.
NETS = """
import torch
from torch import nn


def net(classes, width=6):
    first, again = nn.Linear(width, width), nn.Linear(width, width)
    again.weight = first.weight
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), first, nn.ReLU(), again, nn.Linear(width, classes),
    )


class Masked(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
        self.inner = net(classes)

    def forward(self, images):
        return self.inner(images) @ self.mask.softmax(dim=1)


class Wrapped(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.module = net(classes)

    def forward(self, images):
        return self.module(images)
"""
NAMESPACE: dict[str, Any] = {}
exec(NETS, NAMESPACE)

Write = Callable[[Path], object]


class Holder:
    """An object that is not only tensors."""


class Code:
    """Runs code where it is unpickled: it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.file, "code was run")


def network(name: str = "net", seed: int = 7, **options: int) -> nn.Module:
    """A network as its author makes it, with weights and running statistics of its own."""
    torch.manual_seed(seed)
    made: nn.Module = NAMESPACE[name](**{"classes": CLASSES, **options})
    made.train()(torch.rand(8, 3, 8, 8))
    return made.eval()


@pytest.fixture
def factory(tmp_path: Path) -> ModelFactory:
    return factory_of("net", tmp_path)


def factory_of(name: str, folder: Path) -> ModelFactory:
    (folder / "nets.py").write_text(NETS)
    return ModelFactory.for_data(
        f"nets.py:{name}", random_samples(3, 8), CLASSES, folder, Normalisation(MEAN, STD)
    )


def images() -> Tensor:
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def normalised(of: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (of - mean) / std


def answers(file: Path, factory: ModelFactory) -> Tensor:
    """Of our model with the file's weights."""
    model = factory(0, CPU)
    model.load_state_dict(fitted(load_checkpoint(file), factory))
    with torch.no_grad():
        answered: Tensor = model.eval()(images())
    return answered


def expected(plain: nn.Module) -> Tensor:
    with torch.no_grad():
        answered: Tensor = plain(normalised(images()))
    return answered


def legacy(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def compiled(net: nn.Module) -> nn.Module:
    wrapper = torch.compile(net)
    assert isinstance(wrapper, nn.Module)
    return wrapper


def clones(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.safetensors", lambda net, f: safetensors.torch.save_model(net, f)),
        ("w.safetensors", lambda net, f: safetensors.torch.save_file(clones(net.state_dict()), f)),
        ("w.pt", lambda net, f: torch.save(net.state_dict(), f)),
        ("w.pth", lambda net, f: legacy(net.state_dict(), f)),
        ("w.tar", lambda net, f: torch.save({"epoch": 3, "state_dict": net.state_dict()}, f)),
        ("w.pt", lambda net, f: torch.save({"model": net.state_dict(), "best": 0.5}, f)),
        ("w.pt", lambda net, f: torch.save({"model_state_dict": net.state_dict()}, f)),
        ("w.pt", lambda net, f: torch.save(nn.DataParallel(net).state_dict(), f)),
        ("w.pt", lambda net, f: torch.save(compiled(net).state_dict(), f)),
        ("w.pt", lambda net, f: torch.save(nn.DataParallel(compiled(net)).state_dict(), f)),
        ("w.pt", lambda net, f: torch.save(compiled(nn.DataParallel(net)).state_dict(), f)),
        ("w.pt", lambda net, f: torch.save({"state_dict": nn.DataParallel(net).state_dict()}, f)),
        ("w.pt", lambda net, f: torch.save(net.double().state_dict(), f)),
    ],
)
def test_what_pytorch_has_written_is_read(
    name: str, write: Callable[[nn.Module, Path], None], factory: ModelFactory, tmp_path: Path
) -> None:
    plain = network()
    wanted = expected(plain)
    write(plain, tmp_path / name)
    torch.testing.assert_close(answers(tmp_path / name, factory), wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_half_precision_becomes_the_models_own(
    dtype: torch.dtype, name: str, factory: ModelFactory, tmp_path: Path
) -> None:
    halved = network().to(dtype)
    write = torch.save if name == "w.pt" else safetensors.torch.save_file
    write(clones(halved.state_dict()), tmp_path / name)
    state = fitted(load_checkpoint(tmp_path / name), factory)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
    for key, tensor in halved.state_dict().items():
        assert torch.equal(state[f"1.{key}"].double(), tensor.double())  # to widen is exact


def test_two_values_of_one_tensor_are_refused(factory: ModelFactory, tmp_path: Path) -> None:
    state = clones(network().state_dict())
    once = state["7.weight"].clone()
    state["7.weight"] += 1
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w\.pt: 5\.weight and 7\.weight differ"):
        fitted(load_checkpoint(tmp_path / "w.pt"), factory)
    state["7.weight"] = once.double()
    torch.save(state, tmp_path / "w.pt")
    fitted(load_checkpoint(tmp_path / "w.pt"), factory)


def test_complex_weights_are_refused(factory: ModelFactory, tmp_path: Path) -> None:
    state = clones(network().state_dict())
    state["8.bias"] = state["8.bias"].to(torch.complex64)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"8\.bias is complex"):
        fitted(load_checkpoint(tmp_path / "w.pt"), factory)


def test_a_part_that_is_called_like_a_wrapper_keeps_its_name(tmp_path: Path) -> None:
    factory, plain = factory_of("Wrapped", tmp_path), network("Wrapped")
    wanted = expected(plain)
    for state in (plain.state_dict(), nn.DataParallel(plain).state_dict()):
        torch.save(state, tmp_path / "w.pt")
        torch.testing.assert_close(answers(tmp_path / "w.pt", factory), wanted)


def test_what_is_saved_loads_into_the_plain_network(factory: ModelFactory, tmp_path: Path) -> None:
    model, file = factory(3, CPU), tmp_path / "out.safetensors"
    save_checkpoint(file, factory.network(model).state_dict(), factory.mean, factory.std)
    plain = network()
    plain.load_state_dict(safetensors.torch.load_file(file))
    with torch.no_grad():
        torch.testing.assert_close(expected(plain), model.eval()(images()))
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    assert {key: json.loads(value) for key, value in metadata.items()} == {
        "mean": list(MEAN),
        "std": list(STD),
    }


def test_what_is_saved_is_read_back_bit_for_bit(factory: ModelFactory, tmp_path: Path) -> None:
    model, file = factory(3, CPU), tmp_path / "out.safetensors"
    save_checkpoint(file, factory.network(model).state_dict(), factory.mean, factory.std)
    checkpoint = load_checkpoint(file)
    assert checkpoint.normalisation == (MEAN, STD)
    state = fitted(checkpoint, factory)
    wanted = model.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in state.items())
    assert all(tensor.is_contiguous() for tensor in state.values())


def test_weights_may_have_a_mask_that_is_infinite(tmp_path: Path) -> None:
    factory = factory_of("Masked", tmp_path)
    model, file = factory(3, CPU), tmp_path / "OUT.SAFETENSORS"
    save_checkpoint(file, factory.network(model).state_dict(), factory.mean, factory.std)
    state = fitted(load_checkpoint(file), factory)
    assert state["1.mask"].equal(model.state_dict()["1.mask"])
    spoilt = {**factory.network(model).state_dict(), "mask": torch.full((4, 4), -torch.inf)}
    save_checkpoint(file, spoilt, factory.mean, factory.std)
    with pytest.raises(InputError, match="mask is not finite"):
        fitted(load_checkpoint(file), factory)


def test_running_statistics_that_have_overflowed_are_not_finite(factory: ModelFactory) -> None:
    fresh = factory(3, CPU).state_dict()
    spoilt = {**fresh, "1.1.running_var": torch.full((6,), torch.inf)}
    assert not_finite(fresh, fresh) == []
    assert not_finite(spoilt, fresh) == ["1.1.running_var"]


def test_a_network_of_torchvision_for_grey_images_is_its_authors_own(tmp_path: Path) -> None:
    torch.manual_seed(1)
    plain, samples = squeezenet1_1(num_classes=CLASSES).eval(), random_samples(1, 32)
    torch.save(plain.state_dict(), tmp_path / "w.pt")
    factory = ModelFactory.for_data("torchvision:squeezenet1_1", samples, CLASSES)
    state = fitted(load_checkpoint(tmp_path / "w.pt"), factory)
    model = factory(0, CPU).eval()
    model.load_state_dict(state)
    shown = samples.images.float() / 255
    with torch.no_grad():
        wanted = plain(((shown - factory.mean[0]) / factory.std[0]).repeat(1, 3, 1, 1))
        torch.testing.assert_close(model(shown), wanted)
    save_checkpoint(tmp_path / "o", factory.network(model).state_dict(), factory.mean, factory.std)
    squeezenet1_1(num_classes=CLASSES).load_state_dict(safetensors.torch.load_file(tmp_path / "o"))


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_file_need_not_say_how_images_are_normalised(name: str, tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2)}
    if name == "w.pt":
        torch.save(tensors, tmp_path / name)
    else:
        safetensors.torch.save_file(tensors, tmp_path / name, {"format": "pt"})
    assert load_checkpoint(tmp_path / name).normalisation is None


def test_metadata_may_be_null(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    header = b'{"__metadata__":null,"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert load_checkpoint(file).normalisation is None


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ("0.5", "0.5"),
        ("[0.5]", "[0.0]"),
        ("[0.5]", "[-1]"),
        ("[0.5, 0.5]", "[0.5]"),
        ("[]", "[]"),
        ("[NaN]", "[0.5]"),
        ('["a"]', "[0.5]"),
        ("[0.5", "[0.5]"),
        ("[[0.5]]", "[0.5]"),
        (f"[{'9' * 400}]", "[0.5]"),
        ("[" * 100_000, "[0.5]"),
    ],
)
def test_a_normalisation_that_makes_no_sense_is_refused(
    mean: str, std: str, tmp_path: Path
) -> None:
    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, file, {"mean": mean, "std": std})
    assert_refused(r"w\.safetensors: the mean and std in its metadata", load_checkpoint, file)


def assert_refused(words: str, act: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(InputError, match=words) as caught:
        act(*arguments)
    assert "\n" not in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_file_that_cannot_be_opened_is_named(name: str, tmp_path: Path) -> None:
    assert_refused(rf"cannot read .*{name}: No such file", load_checkpoint, tmp_path / name)
    (tmp_path / name).mkdir()
    assert_refused(rf"cannot read .*{name}: Is a directory", load_checkpoint, tmp_path / name)


WEIGHTS = {"a": torch.zeros(2)}
NOT_ONLY_TENSORS: list[tuple[Write, str]] = [
    (lambda f: torch.save(network(), f), r"holds code or whole objects \(torch\.nn\..*Sequential"),
    (lambda f: legacy(nn.Linear(2, 2), f), r"holds code or whole objects \(torch\.nn\..*Linear"),
    (lambda f: torch.save({"model": Holder()}, f), r"whole objects \(tests\..*\.Holder"),
    (
        lambda f: torch.save({"args": argparse.Namespace(a=1), "model": WEIGHTS}, f),
        r"whole objects \(argparse\.Namespace",
    ),
    (lambda f: torch.save([torch.zeros(2)], f), "no tensors by name, but something of type list"),
    (lambda f: torch.save(torch.zeros(2), f), "no tensors by name, but something of type Tensor"),
    (lambda f: torch.save(3, f), "no tensors by name, but something of type int"),
    (lambda f: torch.save({"epoch": 3, "net": WEIGHTS}, f), "'epoch' is of type int"),
    (lambda f: torch.save({"net": WEIGHTS}, f), "'net' is of type dict"),
    (lambda f: torch.save({0: torch.zeros(2)}, f), "0 is of type Tensor"),
    (lambda f: torch.save({"a": torch.eye(3).to_sparse()}, f), "'a' is of type Tensor"),
    (lambda f: torch.save({"a": torch.zeros(2, device="meta")}, f), "'a' is of type Tensor"),
    (lambda f: f.write_bytes(pickle.dumps({"a": [1.0]})), "is damaged, or no file of torch.save"),
    (lambda f: f.write_text('{"a": [1.0]}'), "is damaged, or no file of torch.save"),
    (lambda f: safetensors.torch.save_file(WEIGHTS, f), "is damaged, or no file of torch.save"),
]


@pytest.mark.parametrize(("write", "words"), NOT_ONLY_TENSORS)
def test_what_is_no_state_dict_is_refused_and_told(
    write: Write, words: str, tmp_path: Path
) -> None:
    write(tmp_path / "w.pt")
    assert_refused(rf"w\.pt (holds|is).*{words}|w\.pt {words}", load_checkpoint, tmp_path / "w.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_torchscript_is_refused_without_another_word(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    file = tmp_path / "w.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)
    recwarn.clear()
    assert_refused(r"whole objects \(TorchScript\)", load_checkpoint, file)
    assert not recwarn.list


@pytest.mark.parametrize(
    "write",
    [
        lambda content, f: torch.save(content, f),
        legacy,
        lambda content, f: f.write_bytes(pickle.dumps(content, protocol=2)),
        lambda content, f: f.write_bytes(pickle.dumps(content)),
    ],
)
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_code_in_a_file_is_not_run(
    write: Callable[[object, Path], None], name: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    write({"state_dict": {"a": torch.zeros(2), "b": Code(trace)}}, tmp_path / name)
    assert_refused(name, load_checkpoint, tmp_path / name)
    assert not trace.exists()
    if name == "w.pt":  # it was there to be run
        try:
            torch.load(tmp_path / name, weights_only=False)
        except (RuntimeError, pickle.UnpicklingError):  # it is no file of torch's
            pickle.loads((tmp_path / name).read_bytes())
        assert trace.exists()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.safetensors", lambda state, f: safetensors.torch.save_file(clones(state), f)),
        ("w.pt", torch.save),
        ("w.pth", legacy),
    ],
)
def test_a_file_that_was_cut_off_is_refused(
    name: str, write: Callable[[object, Path], None], tmp_path: Path
) -> None:
    file = tmp_path / name
    write(network().state_dict(), file)
    content = file.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        file.write_bytes(content[:length])
        # Where the name of a function is cut off, half of it is no function of PyTorch's.
        assert_refused(rf"{name} (is damaged, or no |holds code.*\(torch\.)", load_checkpoint, file)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from(["w.pt", "w.safetensors"]))
def test_whatever_the_bytes_are_nothing_worse_than_a_refusal_comes_of_them(
    tmp_path: Path, data: st.DataObject, name: str
) -> None:
    file = tmp_path / name
    (torch.save if name == "w.pt" else safetensors.torch.save_file)(WEIGHTS, file)
    content = bytearray(file.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=9)):
        content[place] = byte
    file.write_bytes(data.draw(st.sampled_from([b"", b"\0", b"\x80\x02"])) + content)
    with suppress(InputError):
        assert all(isinstance(t, Tensor) for t in load_checkpoint(file).weights.values())


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    """The weights of the network, some of them replaced, added or left out."""
    state = {**network().state_dict(), **changes}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, r"another network than nets\.py:net: it lacks 0.weight, 0.bias, 1.weight and 9 more"),
        (changed(**{"8.bias": None}), "it lacks 8.bias\n"),
        (changed(head=torch.zeros(2)), "it has head, which the model has not"),
        (
            {f"fc.{name}": tensor for name, tensor in network().state_dict().items()},
            r"it lacks 0.weight, .* more and has fc.0.bias, .* 10 more, which the model has not",
        ),
        (
            {**changed(head=torch.zeros(2)), "8.bias": torch.zeros(1)},
            "it has head, which the model has not",
        ),
        (
            network(width=5).state_dict(),
            r"0\.weight has the shape \(5, 3, 3, 3\), in nets\.py:net it is \(6, 3, 3, 3\)\n",
        ),
        (changed(**{"8.bias": torch.tensor(0.0)}), r"8\.bias has the shape \(\), .* \(4,\)\n"),
        (
            network(classes=7).state_dict(),
            r"8\.weight has the shape \(7, 6\), in nets\.py:net it is \(4, 6\): 7 classes instead",
        ),
        (changed(**{"8.bias": torch.tensor([0, float("nan"), 0, 0])}), "8.bias is not finite"),
        (
            changed(**{"1.running_var": torch.tensor([float("inf")] * 6)}),
            "1.running_var is not finite",
        ),
        (changed(**{"8.bias": torch.full((4,), 1e60, dtype=torch.double)}), "8.bias is not finite"),
    ],
)
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_weights_that_do_not_fit_are_refused_with_the_tensors_name(
    state: dict[str, Tensor], words: str, name: str, factory: ModelFactory, tmp_path: Path
) -> None:
    file = tmp_path / name
    if name == "w.pt":
        torch.save(state, file)
    else:
        safetensors.torch.save_file(clones(state), file)
    assert_refused(rf"{name}.*{words}", fitted, load_checkpoint(file), factory)


@pytest.mark.parametrize("name", ["missing/out.safetensors", "file/out.safetensors", "folder"])
def test_a_place_where_nothing_can_be_written_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert_refused("cannot write .*", save_checkpoint, tmp_path / name, WEIGHTS, MEAN, STD)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "folder"}


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path) -> None:
    file = tmp_path / "out.safetensors"
    save_checkpoint(file, WEIGHTS, MEAN, STD)
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as if the disk were full
    try:
        large = {"a": torch.zeros(1000)}
        assert_refused("cannot write .*", save_checkpoint, file, large, MEAN, STD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
