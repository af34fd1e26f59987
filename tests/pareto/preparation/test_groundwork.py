"""The groundwork: what the first driver decides, all others take over."""

from pathlib import Path

import torch

from pareto import storages
from pareto.engines import SerialEngine
from pareto.ledger import Ledger
from pareto.preparation import groundwork
from tests.pareto.conftest import Tiny
from tests.pareto.home import NAME, Home, open_ledger
from tests.pareto.stands import ftp_server

ENGINE = SerialEngine(torch.device("cpu"))


def lay(home: Home, tiny_study: Tiny, place: Path, said: list[str]) -> groundwork.Groundwork:
    ledger = open_ledger(home.url, tiny_study.material)
    return groundwork.lay(ledger, ENGINE, tiny_study.material, str(place), said.append)


def test_the_storage_keeps_what_the_study_is_measured_by(tiny_study: Tiny) -> None:
    notes = tiny_study.home.notes()
    assert notes["fingerprint"] == tiny_study.prepared.fingerprint
    assert notes["reference"] == tiny_study.prepared.reference.as_dict()
    assert notes["unit_times"].keys() == tiny_study.unit_times.keys()
    assert notes["calibrated_on"]["device"].startswith("cpu")


def test_a_second_driver_takes_over_what_the_first_decided(home: Home, tiny_study: Tiny) -> None:
    ledger = Ledger(storages.connect(home.url, writable=True), NAME)
    reference = {**ledger.note("reference"), "seconds": 12345.0}
    unit_times = {
        name: dict.fromkeys(unit, 7.0) for name, unit in ledger.note("unit_times").items()
    }
    ledger.set_note("reference", reference)
    ledger.set_note("unit_times", unit_times)
    ground = lay(home, tiny_study, home.workspace, [])
    assert ground.prepared.reference.seconds == 12345.0
    assert ground.unit_times is not None
    assert {name: vars(unit) for name, unit in ground.unit_times.items()} == unit_times
    assert home.notes()["reference"] == reference


def test_what_is_built_again_from_the_same_seeds_is_the_same(
    home: Home, tiny_study: Tiny, tmp_path: Path
) -> None:
    said: list[str] = []
    ground = lay(home, tiny_study, tmp_path / "another", said)
    assert "training the original model" in said
    assert not any("differs" in message for message in said)
    assert ground.prepared.fingerprint == tiny_study.prepared.fingerprint


def test_a_driver_whose_models_differ_is_told_so(home: Home, tiny_study: Tiny) -> None:
    Ledger(storages.connect(home.url, writable=True), NAME).set_note("fingerprint", "another")
    said: list[str] = []
    lay(home, tiny_study, home.workspace, said)
    assert "differs from what the study was begun with" in said[-1]
    assert "--workspace" in said[-1]


def test_drivers_share_a_workspace_at_a_url(tiny_study: Tiny, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    fingerprints: set[str] = set()
    said: list[list[str]] = []
    with ftp_server(tmp_path / "shared") as url:
        for name in ("first", "second"):
            home = tiny_study.home.copy(tmp_path / name)
            said.append([])
            ledger = open_ledger(home.url, tiny_study.material)
            ground = groundwork.lay(ledger, ENGINE, tiny_study.material, url, said[-1].append)
            fingerprints.add(ground.prepared.fingerprint)
    assert "training the original model" in said[0]
    assert [line for line in said[1] if "guessing" not in line] == []
    assert fingerprints == {tiny_study.prepared.fingerprint}
