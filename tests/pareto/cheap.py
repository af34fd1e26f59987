"""A study without any unlearning: figures that are computed from the parameters at once."""

import time
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from pareto.ledger import Ledger
from pareto.sampling.samplers import StudySampler
from pareto.trials.outcome import Outcome, Ticket
from studies.names import SamplerName

SEED = 7
SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(0.01, 1.0, log=True),
    "k": IntDistribution(0, 9),
}
STARTING_POINTS = [{"x": 0.25, "y": 0.5, "k": 3}, {"x": 0.75, "y": 0.1, "k": 7}]


def score(params: Mapping[str, Any]) -> Outcome:
    """Objectives that contradict each other."""
    x, y, k = (float(params[name]) for name in ("x", "y", "k"))
    return Outcome({"ta": 100 * x * (1 - y), "frm": (1 - x) * k / 9, "rte": 1 + k * y}, {"k": k})


def sampler(name: SamplerName = "random", seed: int = SEED) -> StudySampler:
    return StudySampler(name, seed, STARTING_POINTS)


def open_ledger(storage: BaseStorage, of: StudySampler | None = None, **identity: Any) -> Ledger:
    """The ledger of the cheap study in a storage."""
    definition = {"name": "cheap", "seed": SEED}
    return Ledger.open(storage, definition, {"seed": SEED, **identity}, SPACE, of or sampler())


def ask(ledger: Ledger, budget: int = 100) -> Ticket:
    """A ticket, where the budget has room for one."""
    ticket = ledger.ask(budget, SEED)
    assert ticket is not None
    return ticket


def frozen(storage: BaseStorage, number: int) -> FrozenTrial:
    """A trial as it stands in the storage."""
    return optuna.load_study(study_name="cheap", storage=storage).get_trials()[number]


def states(storage: BaseStorage) -> list[str]:
    """Of all trials, as they stand in the storage."""
    study = optuna.load_study(study_name="cheap", storage=storage)
    return [trial.state.name for trial in study.get_trials()]


def run(ledger: Ledger, budget: int) -> int:
    """Bring the study to its budget; returns how many trials that took here."""
    ran = 0
    while ledger.counts().complete < budget:
        ticket = ledger.ask(budget, SEED)
        if ticket is None:  # the rest is in others' hands, or was put back a moment ago
            time.sleep(0.01)
            continue
        ledger.complete(ticket, score(ticket.params))
        ran += 1
    return ran
