"""What is done before a study's first trial, and what its storage keeps of it.

Every driver lays the groundwork anew, or reads it from its workspace. What a study is measured by,
though, is decided once: by the driver that comes first, whose notes in the storage all others take
over, on other machines too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from objectives.runtime import UnitTime
from pareto.engines import Announce, Engine, Workers
from pareto.engines.devices import environment, use_one_thread
from pareto.ledger import Ledger
from pareto.preparation.calibration import calibrate, depends_on
from pareto.preparation.material import Material
from pareto.preparation.measurements import UNIT_TIMES, remembered
from pareto.preparation.prepared import Prepared, open_workspace, prepare
from pareto.workspace.artifacts import Workspace
from pareto.workspace.places import absolute


@dataclass(frozen=True)
class Groundwork:
    """All that a study's trials start from.

    Attributes:
        unit_times: the calibration of the runtime, by phase; None where the stopwatch counts.
    """

    prepared: Prepared
    unit_times: Mapping[str, UnitTime] | None


def lay(
    ledger: Ledger, engine: Engine, material: Material, place: str, announce: Announce
) -> Groundwork:
    """Prepare a study where its trials will run.

    Args:
        place: of the workspace; has to be the same on every machine that shares it.

    Raises:
        InputError: nothing can be kept at that place, the models cannot be trained, or the study
            has become another one in the meantime.
        EngineError: the engine does not work.
    """
    calibrated = ledger.note("unit_times") is not None
    # Ray's processes have working folders of their own.
    work = partial(_lay, calibrated, material, absolute(place))
    prepared, notes = engine.call(work, announce, material.models_to_train)
    ledger.refuse_change()
    ledger.decide(notes)
    if ledger.note("fingerprint") != prepared.fingerprint:
        announce(
            "what this machine has prepared differs from what the study was begun with (another"
            " device, or other versions): its trials start from other models; share a --workspace"
            " to avoid that"
        )
    unit_times = ledger.note("unit_times")
    return Groundwork(
        prepared.with_reference(ledger.note("reference")),
        unit_times and {name: UnitTime(**unit) for name, unit in unit_times.items()},
    )


def _lay(
    calibrated: bool,
    material: Material,
    place: str,
    workers: Workers,
    announce: Announce,
) -> tuple[Prepared, dict[str, Any]]:
    """Prepare a study with these workers, and calibrate its runtime.

    Args:
        calibrated: whether it is already.

    Returns:
        What was prepared, and the notes to keep of it, where there are none yet.
    """
    use_one_thread()
    device = workers.device
    workspace = open_workspace(material, place, announce)
    with workspace.lock():
        prepared = prepare(material, material.search, workspace, workers, announce)
        notes: dict[str, Any] = {
            "original": prepared.original_figures.as_dict(),
            "reference": prepared.reference.as_dict(),
            "fingerprint": prepared.fingerprint,
        }
        if material.definition.objectives.runtime == "calibrated" and not calibrated:
            measured = _unit_times(prepared, workspace, device, announce)
            notes["unit_times"] = {name: asdict(unit) for name, unit in measured.items()}
            notes["calibrated_on"] = environment(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what training took is for the workers now
    return prepared, notes


def _unit_times(
    prepared: Prepared, workspace: Workspace, device: torch.device, announce: Announce
) -> dict[str, UnitTime]:
    """The calibration; what it lays on the device is gone afterwards."""
    key = {"workspace": workspace.key, **depends_on(prepared, device)}
    return remembered(UNIT_TIMES, key, partial(calibrate, prepared, device), announce)
