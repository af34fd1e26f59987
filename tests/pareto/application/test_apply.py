"""Real requests, one after the other, carried out on weights of the user's own."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import pareto
from pareto.application.apply import apply_request
from pareto.application.evidence import Origin
from pareto.errors import TrialFails
from pareto.experiments.arms import Arm
from pareto.preparation.earlier import EVIDENCE, WEIGHTS
from pareto.preparation.material import Material
from pareto.preparation.prepared import original_weights
from studies import Definition
from tests.pareto.home import tiny
from unlearn.checkpoint import save_checkpoint
from unlearn.datasets import load
from unlearn.errors import InputError
from unlearn.methods import METHODS
from unlearn.seeds import derive_seed
from unlearn.stopwatch import Stopwatch

CPU = torch.device("cpu")
SAMPLES, SEED = 120, 11
MEAN, STD = 0.3, 0.4
FT = Arm("ft", {"epochs": 2, "learning_rate": 0.05})
ARMS = [
    FT,
    Arm("ga", {"epochs": 1, "learning_rate": 1e-3}),
    Arm("iu", {"gradients": 8}),
    Arm("retrain", {}),
    # Selects nearly everything, so that every sample it is given has a say.
    Arm("conmu", dict.fromkeys(("forget_z1", "forget_z2", "retain_z1", "retain_z2"), 9.0)),
]
NET = """
import torch
from torch import nn


class Bare(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(64, classes))

    def forward(self, images):
        return images.flatten(1) @ self.weight
"""

Evidence = dict[str, Any]
State = dict[str, Tensor]


class User(NamedTuple):
    """A user with weights of their own, and a folder for what comes of requests."""

    folder: Path
    definition: Definition

    def apply(self, name: str, positions: Sequence[int], arm: Arm = FT, **options: Any) -> Evidence:
        """Carry out a request that is called so, in the folder of its name."""
        index_file = self.folder / f"{name}.txt"
        index_file.write_text("".join(f"{position}\n" for position in positions))
        return apply_request(
            options.pop("definition", self.definition),
            arm,
            index_file,
            self.folder / name,
            **{"origin": Origin(), "seed": SEED, "device": CPU, **options},
        )

    def weights(self, name: str) -> Path:
        return self.folder / name / WEIGHTS

    def state(self, name: str) -> State:
        return safetensors.torch.load_file(self.weights(name))

    def evidence(self, name: str) -> Evidence:
        return dict(json.loads((self.folder / name / EVIDENCE).read_text("utf-8")))


def data() -> tuple[Tensor, Tensor]:
    """The tiny study's training data, as its model is given them."""
    section = tiny().data.model_dump(exclude={"name", "dir"})
    train = load("digits", seed=derive_seed(tiny().seed, "data"), **section).train
    return (train.images / 255 - MEAN) / STD, train.labels


@pytest.fixture(scope="module")
def theirs() -> State:
    """The weights of a small CNN that knows its data, though not by heart."""
    material = Material.load(tiny())
    network = material.factory.network(material.factory(0, CPU))
    images, labels = data()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(12):
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network.state_dict()


@pytest.fixture
def user(tmp_path: Path, theirs: State) -> User:
    torch.save(theirs, tmp_path / "theirs.pt")
    normalisation = {"mean": [MEAN], "std": [STD]}
    given = {"original": str(tmp_path / "theirs.pt"), "normalisation": normalisation}
    return User(tmp_path, tiny().model_validate({**tiny().model_dump(), **given}))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def tensors_sha256(state: State) -> str:
    """Over names, types, shapes and bits, by NumPy."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)


# One request.


def test_the_evidence_says_what_was_asked_and_done_to_which_weights(user: User) -> None:
    evidence = user.apply("first", [5, 3, 8])
    assert evidence == user.evidence("first")
    asked, done, weights = evidence["asked"], evidence["done"], evidence["weights"]
    assert asked["index_file"] == "first.txt"
    assert asked["index_file_sha256"] == sha256(user.folder / "first.txt")
    assert asked["positions"] == [3, 5, 8]
    assert (asked["forgotten"], asked["retained"]) == (3, SAMPLES - 3)
    assert (asked["training_samples"], asked["test_samples"]) == (SAMPLES, 80)
    assert (done["method"], done["seed"], done["study_seed"]) == ("ft", SEED, 3)
    assert done["parameters"] == {**asdict(METHODS["ft"].config()), **FT.config}
    assert done["recipe"]["epochs"] == 3
    assert done["versions"]["torch"] == torch.__version__.split("+")[0]
    theirs = torch.load(user.folder / "theirs.pt", weights_only=True)
    assert weights["before"] == {
        "file": "theirs.pt",
        "file_sha256": sha256(user.folder / "theirs.pt"),
        "tensors_sha256": tensors_sha256(theirs),
    }
    assert weights["after"]["file_sha256"] == sha256(user.weights("first"))
    assert weights["after"]["tensors_sha256"] == tensors_sha256(user.state("first"))
    assert weights["normalisation"] == {"mean": [MEAN], "std": [STD]}
    assert evidence["cost"]["seconds"] == pytest.approx(
        sum(phase["seconds"] for phase in evidence["cost"]["phases"].values())
    )
    assert (evidence["chain"], evidence["earlier_positions"]) == ([], [])
    assert sorted(file.name for file in (user.folder / "first").iterdir()) == [EVIDENCE, WEIGHTS]


def test_weights_are_dense_and_pruned_as_the_evidence_says(user: User) -> None:
    for rate in (0.0, 0.3):
        name = f"pruned-{rate}"
        arm = Arm("ft", {**FT.config, "pruning_rate": rate})
        zeros = user.apply(name, [1], arm)["weights"]["after"]["zeros"]
        state = user.state(name)
        assert state.keys() == torch.load(user.folder / "theirs.pt", weights_only=True).keys()
        pruned = torch.cat([w.flatten() for w in state.values() if w.ndim > 1])
        assert float((pruned == 0).double().mean()) == pytest.approx(zeros)
        assert zeros == pytest.approx(rate, abs=1e-3)


def test_the_same_request_makes_the_same_weights_and_another_seed_other_ones(user: User) -> None:
    user.apply("once", [1, 2])
    user.apply("again", [1, 2])
    other = user.apply("other", [1, 2], seed=SEED + 1)
    assert sha256(user.weights("once")) == sha256(user.weights("again"))
    assert not equal(user.state("once"), user.state("other"))
    assert other["done"]["seed"] == SEED + 1


def test_without_a_seed_it_follows_from_the_studys(user: User) -> None:
    seeds = [
        user.apply(
            name, [1], definition=user.definition.model_copy(update={"seed": seed}), seed=None
        )
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    first, again, other = (evidence["done"]["seed"] for evidence in seeds)
    assert first == again
    assert other != first


def test_a_share_of_samples_to_keep_stands_in_for_bounds(user: User) -> None:
    kept = user.apply("share", range(20), Arm("conmu", {"pruning_rate": 0.1, "keep": 0.5}))["done"]
    assert kept["kept"] == {"forget": 10, "retain": 50}
    assert {"forget_z1", "retain_z2"} < kept["parameters"].keys()


def test_that_a_method_took_no_step_is_said(user: User) -> None:
    bounds = dict.fromkeys(("forget_z1", "forget_z2", "retain_z1", "retain_z2"), 0.0)
    evidence = user.apply("nothing", [1, 2], Arm("conmu", {**bounds, "pruning_rate": 0.0}))
    assert evidence["done"]["flags"] == ["empty_selection"]
    told = evidence["meaning"]["does_not_show"]
    assert "the method took no step" in told[0]
    weights = evidence["weights"]
    assert weights["after"]["tensors_sha256"] == weights["before"]["tensors_sha256"]


def test_what_retrains_is_not_told_to_be_approximate(user: User) -> None:
    told = "".join(user.apply("anew", [1], Arm("retrain", {}))["meaning"]["does_not_show"])
    assert "trained anew" in told
    assert "approximate" not in told


def test_where_the_configuration_comes_from_is_part_of_the_evidence(user: User) -> None:
    found = {"ta": 53.0, "frm": 0.5}
    validation = {"mean": {"ta": 51.0}, "sd": {"ta": 1.0}}
    evidence = user.apply("found", [1], origin=Origin("tiny", 4, found, validation))
    assert evidence["study"] == {
        "study": "tiny",
        "trial": 4,
        "found": found,
        "validation": validation,
        "file": None,
    }
    assert "`study.validation` has" in "".join(evidence["meaning"]["does_not_show"])


@pytest.mark.parametrize(
    ("validation", "told"),
    [
        (None, "where its trial had 100.00 %"),
        ({"mean": {"ta": 100.0}, "sd": None}, "where `validate` has found 100.00 %"),
        ({"mean": {"ta": 100.0}, "sd": {"ta": 2.0}}, "found 100.00 ± 2.00 %"),
        ({"mean": {"ta": 0.0}, "sd": None}, None),
    ],
)
def test_a_lower_test_accuracy_than_was_to_be_expected_is_told(
    user: User, validation: dict[str, Any] | None, told: str | None
) -> None:
    origin = Origin("tiny", 4, {"ta": 100.0}, validation)
    shows = "".join(user.apply("lower", [1], origin=origin)["meaning"]["shows"])
    assert ("does not carry over" in shows) == (told is not None)
    assert told is None or told in shows


CHANGED = "The study was made on other data, or with another model"


@pytest.mark.parametrize("name", ["data.sha256", "model.sha256", "original.sha256"])
def test_files_that_are_not_the_studys_are_refused(user: User, name: str) -> None:
    identity = {**Material.load(user.definition).identity(), name: "0" * 64}
    with pytest.raises(InputError, match=f"was made with other files: {name} differ"):
        user.apply("refused", [1], study_identity=identity)
    assert not (user.folder / "refused").exists()


def test_on_other_data_whose_model_is_named_it_is_told(user: User) -> None:
    identity: dict[str, Any] = {**Material.load(user.definition).identity(), "data.sha256": "0"}
    said: list[str] = []
    weights = Path(str(user.definition.original))
    options: dict[str, Any] = {"original": weights, "announce": said.append}
    evidence = user.apply("other", [1], study_identity=identity, **options)
    assert any("other files: data.sha256 differ" in line for line in said)
    assert CHANGED in "".join(evidence["meaning"]["does_not_show"])


def test_the_studys_own_files_and_another_model_are_nothing_to_tell(user: User) -> None:
    identity = Material.load(user.definition).identity()
    same = user.apply("same", [1], study_identity=identity)
    weights = user.weights("same")
    other = user.apply("next", [2], study_identity=identity, original=weights)
    for evidence in (same, other):
        assert CHANGED not in "".join(evidence["meaning"]["does_not_show"])


def test_a_model_that_is_not_handed_in_is_the_studys_own(user: User, tmp_path: Path) -> None:
    said: list[str] = []
    options: dict[str, Any] = {
        "definition": tiny(),
        "workspace": str(tmp_path / "workspace"),
        "announce": said.append,
    }
    evidence = user.apply("own", [1], **options)
    (kept,) = (tmp_path / "workspace").glob("*/original.safetensors")
    theirs = {
        name.removeprefix("1."): tensor
        for name, tensor in safetensors.torch.load_file(kept).items()
        if name.startswith("1.")
    }
    before = evidence["weights"]["before"]
    assert before == {"file": None, "file_sha256": None, "tensors_sha256": tensors_sha256(theirs)}
    assert "not handed in" in "".join(evidence["meaning"]["does_not_show"])
    other = user.apply("another request", [2, 3], **options)
    assert other["weights"]["before"] == before
    assert said.count("training the original model") == 1


def test_a_model_without_prunable_weights_has_no_zeros(user: User) -> None:
    (user.folder / "net.py").write_text(NET)
    update = {"model": "net.py:Bare", "model_dir": str(user.folder)}
    definition = user.definition.model_copy(update=update)
    torch.save({"weight": torch.ones(64, 10)}, user.folder / "bare.pt")
    evidence = user.apply("bare", [1], definition=definition, original=user.folder / "bare.pt")
    assert evidence["weights"]["after"]["zeros"] == 0
    assert evidence["weights"]["model_files_sha256"] == {"net.py": sha256(user.folder / "net.py")}


# One request after the other.


@pytest.fixture
def chain(user: User) -> User:
    """After three requests, each applied to the result of the one before."""
    user.apply("first", [5, 3, 8])
    user.apply("second", [0, 119], original=user.weights("first"))
    user.apply("third", [60], original=user.weights("second"))
    return user


def test_a_chain_is_recorded_and_its_hashes_link_up(chain: User) -> None:
    first, second, third = (chain.evidence(name) for name in ("first", "second", "third"))
    assert (first["chain"], len(second["chain"])) == ([], 1)
    assert third["chain"][:1] == second["chain"]
    for name, evidence, link in zip(
        ("first", "second"), (first, second), third["chain"], strict=True
    ):
        assert link == {
            "when": evidence["when"],
            "evidence_sha256": sha256(chain.folder / name / EVIDENCE),
            "index_file_sha256": sha256(chain.folder / f"{name}.txt"),
            "data_sha256": evidence["asked"]["data_sha256"],
            "forgotten": evidence["asked"]["forgotten"],
            "weights_file_sha256": sha256(chain.weights(name)),
        }
    for before, after in ((first, second), (second, third)):
        made, used = before["weights"]["after"], after["weights"]["before"]
        assert made.items() >= used.items()


def test_what_was_forgotten_is_neither_retained_nor_trained_on_again(chain: User) -> None:
    evidence = [chain.evidence(name) for name in ("first", "second", "third")]
    assert [e["asked"]["positions"] for e in evidence] == [[3, 5, 8], [0, 119], [60]]
    assert [e["earlier_positions"] for e in evidence] == [[], [3, 5, 8], [3, 5, 8, 0, 119]]
    assert [e["asked"]["retained"] for e in evidence] == [117, 115, 114]
    assert [e["done"]["kept"]["retain"] for e in evidence] == [117, 115, 114]
    work = evidence[2]["cost"]["phases"]["finetune"]["work"]["samples"]
    assert work == FT.config["epochs"] * 114
    assert "The 5 samples" in "".join(evidence[2]["meaning"]["shows"])


def plain_network(user: User, name: str) -> nn.Module:
    """The network itself, with the weights that came of a request."""
    material = Material.load(user.definition)
    network = material.factory.network(material.factory(0, CPU))
    network.load_state_dict(user.state(name))
    return network.eval()


def test_accuracy_on_what_was_forgotten_earlier_goes_on_being_told(chain: User) -> None:
    images, labels = data()
    figures = chain.evidence("third")["figures"]
    for name, told in (("second", figures["before"]), ("third", figures["after"])):
        with torch.no_grad():
            right = plain_network(chain, name)(images).argmax(dim=1) == labels
        for figure, positions in {
            "fa": [60],
            "fa_of_earlier_requests": [3, 5, 8, 0, 119],
            "ra": [i for i in range(SAMPLES) if i not in (60, 3, 5, 8, 0, 119)],
        }.items():
            assert told[figure] == 100 * float(right[positions].double().mean())


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.method)
def test_no_method_is_given_what_was_forgotten_earlier(arm: Arm, user: User) -> None:
    user.apply("first", [5, 3, 8])
    user.apply("second", [0, 119], arm, original=user.weights("first"))
    # The same by hand: a problem without those samples.
    update = {"original": str(user.weights("first"))}
    material = Material.load(user.definition.model_copy(update=update))
    train = material.dataset.train
    problem = replace(
        material.problem(original_weights(material, "", CPU, print), CPU),
        forget=train.take(torch.tensor([0, 119])),
        retain=train.take(torch.tensor([i for i in range(SAMPLES) if i not in (0, 119, 3, 5, 8)])),
    )
    method = METHODS[arm.method]
    wanted = method.unlearn(problem, method.config(**arm.config), SEED, Stopwatch(CPU), None)
    network = material.factory.network(wanted.model)
    assert equal(user.state("second"), network.state_dict())


def test_a_study_of_a_model_that_has_forgotten_leaves_out_what_it_has(
    chain: User, tmp_path: Path
) -> None:
    update = {"original": str(chain.weights("third"))}
    definition = chain.definition.model_copy(update=update)
    gone = {3, 5, 8, 0, 119, 60}
    material = Material.load(definition)
    assert material.describe().endswith("; 6 were forgotten before and are left out")
    for drawn in (material.partition, *(material.repeated(n).partition for n in range(3))):
        left = {*drawn.forget.tolist(), *drawn.retain.tolist()}
        assert left == set(range(SAMPLES)) - gone
    storage = f"sqlite:///{tmp_path}/studies.db"
    places: dict[str, Any] = {"storage": storage, "workspace": tmp_path / "workspace"}
    study = pareto.search(definition.with_method("ft"), 2, workers=1, **places)
    retained = [trial.metrics["kept_retain"] for trial in study.complete()]
    assert retained == 2 * [len(material.partition.retain)]
    # Without its evidence nobody knows what must not be trained on again.
    chain.weights("third").with_name(EVIDENCE).unlink()
    with pytest.raises(InputError, match="has forgotten samples already"):
        pareto.search(definition, 2, workers=1, **places)


def test_what_is_forgotten_already_cannot_be_listed_again(chain: User) -> None:
    for again in ([8, 20], [20, 119]):
        with pytest.raises(
            InputError, match=rf"lists index {again[0] if again[0] == 8 else 119}, "
        ):
            chain.apply("fourth", again, original=chain.weights("third"))
    assert not (chain.folder / "fourth").exists()


def test_not_everything_can_be_forgotten_one_after_the_other(user: User) -> None:
    user.apply("first", range(60))
    with pytest.raises(InputError, match="no sample is left to retain"):
        user.apply("second", range(60, 120), original=user.weights("first"))


def test_a_chain_goes_on_where_its_files_were_moved(chain: User, tmp_path: Path) -> None:
    moved = tmp_path / "production" / "model-7.safetensors"
    moved.parent.mkdir()
    chain.weights("second").rename(moved)
    with pytest.raises(InputError, match="has forgotten samples already"):
        chain.apply("next", [61], original=moved)
    (chain.folder / "second" / EVIDENCE).rename(moved.with_name(EVIDENCE))
    link = tmp_path / "current.safetensors"
    link.symlink_to(moved)
    assert chain.apply("next", [61], original=link)["earlier_positions"] == [3, 5, 8, 0, 119]


def test_weights_and_evidence_that_do_not_belong_together_are_refused(chain: User) -> None:
    weights = chain.weights("second")
    evidence = weights.with_name(EVIDENCE)
    kept = weights.read_bytes(), evidence.read_bytes()
    state = chain.state("second")
    changed = {name: tensor + 1e-6 for name, tensor in state.items()}
    save_checkpoint(weights, changed, [MEAN], [STD])
    with pytest.raises(InputError, match="speaks of other weights"):
        chain.apply("next", [61], original=weights)
    weights.write_bytes(kept[0])
    evidence.write_bytes((chain.folder / "first" / EVIDENCE).read_bytes())
    with pytest.raises(InputError, match="speaks of other weights"):
        chain.apply("next", [61], original=weights)
    evidence.write_bytes(kept[1])
    assert len(chain.apply("next", [61], original=weights)["chain"]) == 2


def test_that_the_data_have_changed_is_said_and_stays_said(user: User) -> None:
    user.apply("first", [5, 3, 8])
    data = user.definition.data.model_copy(update={"train_limit": 100})
    changed = user.definition.model_copy(update={"data": data})
    said: list[str] = []
    options: dict[str, Any] = {"definition": changed, "announce": said.append}
    second = user.apply("second", [3, 4], original=user.weights("first"), **options)
    assert any("the data have changed since an earlier request" in line for line in said)
    third = user.apply("third", [7], original=user.weights("second"), **options)
    assert [e["earlier_positions"] for e in (second, third)] == [[], [3, 4]]
    assert [len(e["chain"]) for e in (second, third)] == [1, 2]
    for evidence in (second, third):
        assert evidence["data_changed"] is True
        assert "The data have changed" in "".join(evidence["meaning"]["does_not_show"])
    assert "fa_of_earlier_requests" not in second["figures"]["after"]
    digests = {link["data_sha256"] for link in third["chain"]}
    assert len(digests) == 2


# What goes wrong.


def test_nothing_is_overwritten(user: User) -> None:
    user.apply("first", [5])
    before = {file: file.read_bytes() for file in (user.folder / "first").iterdir()}
    with pytest.raises(InputError, match=f"first holds {EVIDENCE} already"):
        user.apply("first", [5])
    (user.folder / "theirs").mkdir()
    (user.folder / "theirs" / WEIGHTS).write_bytes(b"of somebody else's")
    with pytest.raises(InputError, match=f"theirs holds {WEIGHTS} already"):
        user.apply("theirs", [5])
    assert {file: file.read_bytes() for file in (user.folder / "first").iterdir()} == before
    assert (user.folder / "theirs" / WEIGHTS).read_bytes() == b"of somebody else's"


def interrupt(message: str) -> None:
    if message.startswith("forgetting"):
        raise KeyboardInterrupt


def test_a_request_that_was_interrupted_can_be_made_again(user: User) -> None:
    with pytest.raises(KeyboardInterrupt):
        user.apply("request", [5], announce=interrupt)
    assert list((user.folder / "request").iterdir()) == []
    user.apply("request", [5])
    made = sha256(user.weights("request"))
    # As it is left between the weights and the evidence.
    (user.folder / "request" / EVIDENCE).unlink()
    with pytest.raises(InputError, match="has forgotten samples already"):
        user.apply("next", [6], original=user.weights("request"))
    with pytest.raises(InputError, match=r"holds \w+\.\w+ already"):
        user.apply("request", [6])
    user.apply("request", [5])
    assert sha256(user.weights("request")) == made
    assert user.evidence("request")["weights"]["after"]["file_sha256"] == made


def test_two_requests_at_a_time_are_not_carried_out_into_one_folder(user: User) -> None:
    refused: list[str] = []

    def begin_another(message: str) -> None:
        if message.startswith("forgetting"):
            with pytest.raises(InputError) as caught:
                user.apply("request", [6], announce=interrupt)
            refused.append(caught.value.problem)

    user.apply("request", [5], announce=begin_another)
    assert refused == [f"another request is being carried out into {user.folder / 'request'}"]
    assert user.evidence("request")["asked"]["positions"] == [5]
    assert {file.name for file in (user.folder / "request").iterdir()} == {WEIGHTS, EVIDENCE}


def test_a_list_that_can_be_read_once_only_is_refused(user: User) -> None:
    os.mkfifo(user.folder / "pipe")
    with pytest.raises(InputError, match="pipe is a pipe, which can be read once only"):
        apply_request(
            user.definition,
            FT,
            user.folder / "pipe",
            user.folder / "request",
            origin=Origin(),
            device=CPU,
        )


def test_a_list_with_a_name_that_no_file_can_have_is_told_of(user: User) -> None:
    file = user.folder / ("x" * 300)
    with pytest.raises(InputError, match=r"cannot read .*: File name too long"):
        apply_request(
            user.definition, FT, file, user.folder / "request", origin=Origin(), device=CPU
        )


def test_a_list_may_have_a_name_that_is_not_utf_8(user: User) -> None:
    user.apply("latin", [5])
    odd = os.fsdecode(os.fsencode(user.folder) + b"/caf\xe9.txt")
    os.rename(user.folder / "latin.txt", odd)
    evidence = apply_request(
        user.definition, FT, Path(odd), user.folder / "odd", origin=Origin(), device=CPU
    )
    assert evidence["asked"]["index_file"] == r"caf\udce9.txt"
    assert user.evidence("odd") == evidence


@pytest.mark.parametrize("name", [WEIGHTS, EVIDENCE])
def test_what_cannot_be_written_is_told_of_and_nothing_half_is_left(name: str, user: User) -> None:
    def put_in_the_way(message: str) -> None:
        if message.startswith("forgetting"):
            (user.folder / "request" / name).mkdir()

    with pytest.raises(InputError, match=f"cannot write .*{name}"):
        user.apply("request", [5], announce=put_in_the_way)
    left = {WEIGHTS, name}
    assert {file.name for file in (user.folder / "request").iterdir()} == left


def test_a_folder_that_cannot_be_made_is_told_of_before_any_work(user: User) -> None:
    (user.folder / "request").write_text("a file")
    said: list[str] = []
    with pytest.raises(InputError, match=r"cannot make .*request: "):
        user.apply("request", [5], announce=said.append)
    assert not any(line.startswith("forgetting") for line in said)


def test_a_method_that_fails_on_the_request_leaves_no_weights(user: User) -> None:
    with pytest.raises(TrialFails, match="ga fails on this request"):
        user.apply("request", [5], Arm("ga", {"epochs": 20, "learning_rate": 1e6}))
    assert list((user.folder / "request").iterdir()) == []


@pytest.mark.parametrize("factor", [0.0, 1e38])
def test_weights_that_cannot_be_right_are_told_of(factor: float, user: User) -> None:
    state = torch.load(user.folder / "theirs.pt", weights_only=True)
    torch.save({name: tensor * factor for name, tensor in state.items()}, user.folder / "bad.pt")
    said: list[str] = []
    request: Callable[[], Evidence] = lambda: user.apply(  # noqa: E731
        "request", [5], original=user.folder / "bad.pt", announce=said.append
    )
    if factor:
        with pytest.raises(InputError, match=r"bad\.pt gives answers that are not finite"):
            request()
        assert not (user.folder / "request").exists()
    else:
        request()
        assert any("check the normalisation" in line for line in said)
