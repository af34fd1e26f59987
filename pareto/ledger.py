"""The one source of truth: an Optuna study, and what is written in it.

All that is known of a study and its trials stands in the storage as JSON attributes. Drivers write
only their own trials, through this file; workers never touch the storage.

| attribute of the study | holds |
| --- | --- |
| `definition` | the whole definition |
| `identity` | what every later opening has to agree on |
| `reference`, `original` | figures of the retrained models and of θ_o |
| `fingerprint` | of the models, scores and proxies that the study was begun with |
| `unit_times` | the calibration of the runtime, by phase |
| `calibrated_on` | where that was measured |
| `validation-N` | what came of running trial N again |
| `repeat-N` | of an experiment: figures of θ_o and of the retrained models of repeat N |

| attribute of a trial | holds |
| --- | --- |
| `cell` | of an experiment's trial: what is run, instead of parameters of a search |
| `metrics` | every figure by name |
| `run` | seed, phases, flags, fingerprint, host, device, versions |
| `lease` | who drives it while it runs |
| `reason`, `traceback`, `lost` | why it failed, and whether of itself or for want of a worker |
| `retry_of`, `attempt` | the trial it repeats, and how often that was tried |
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from pareto.front import DIRECTIONS
from pareto.leases import Driver, LeaseWatch
from pareto.sampling.samplers import StudySampler
from pareto.trials.outcome import Failure, Outcome, Ticket, is_recorded
from unlearn.errors import InputError
from unlearn.seeds import derive_seed

MAX_ATTEMPTS = 3
"""How often the parameters of lost trials are tried in all."""

LOOK_SECONDS = 0.1
"""How long a look at all trials lasts, where a change of somebody else's may be missing."""

DECISION_SECONDS, DECISION_TIMES = 0.1, 5
"""How long `decide` waits after writing, for drivers that looked at the same moment: at least this
many seconds, and this many times what the writing took here."""

StudyKind = Literal["search", "comparison", "sweep"]
State = Literal["complete", "failed", "running", "waiting"]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Trial:
    """A trial as the storage has it.

    Attributes:
        params: values by name, or an experiment's cell; empty while it waits.
        values: TA, FRM, RTE of a complete trial, else None.
        metrics: every figure by name; empty unless complete.
        run: how a complete trial came about.
        reason: why a failed trial failed, else None.
        lost: whether it failed because whoever ran it is gone.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    values: tuple[float, float, float] | None
    metrics: Mapping[str, float]
    run: Mapping[str, Any]
    reason: str | None
    lost: bool = False


@dataclass(frozen=True)
class _Mine:
    """A trial that this driver runs."""

    trial_id: int
    params: Mapping[str, Any]
    attempt: int = 1


@dataclass(frozen=True)
class Counts:
    """How many trials of a study are in which state."""

    complete: int
    failed: int
    running: int


class StudyMismatch(InputError):
    """A study exists under this name, but of another definition."""


class Ledger:
    """One study in one storage."""

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        name: str,
        distributions: Mapping[str, BaseDistribution] | None = None,
        sampler: StudySampler | None = None,
    ) -> None:
        self._storage = storage
        self._study = optuna.load_study(study_name=name, storage=storage, sampler=sampler)
        if sampler is not None:
            sampler.on_new_trial = self._take
        self._distributions = dict(distributions or {})
        self._driver = Driver.this_process()
        self._watch = LeaseWatch(self._driver)
        self._mine: dict[int, _Mine] = {}
        self._last_look: tuple[float, list[FrozenTrial]] | None = None
        self._opened_as: Mapping[str, Any] | None = None

    @classmethod
    def open(
        cls,
        storage: optuna.storages.BaseStorage,
        definition: Mapping[str, Any],
        identity: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        sampler: StudySampler | None,
    ) -> "Ledger":
        """Open the study that the definition names, creating it if there is none.

        Until something is prepared for it, it may become the study of another definition: of two
        drivers that begin it with different ones, the later has it; see `refuse_change`.

        Raises:
            StudyMismatch: the study was made with another identity; the differing fields are named.
        """
        name = definition["name"]
        with suppress(optuna.exceptions.DuplicatedStudyError):
            optuna.create_study(study_name=name, storage=storage, directions=list(DIRECTIONS))
        ledger = cls(storage, name, distributions, sampler)
        ledger._opened_as = dict(identity)
        stored = ledger.note("identity")
        if stored is None:
            directions = [direction.name.lower() for direction in ledger._study.directions]
            seems_foreign = bool(ledger._frozen() or directions != list(DIRECTIONS))
            stored = ledger.note("identity")  # which another driver may just have written
            if seems_foreign and stored is None:
                raise StudyMismatch(
                    f"the study {name!r} in this storage was not made by pareto-search",
                    "use another storage",
                )
        if stored is None or not ledger._is_begun():
            ledger.set_note("definition", dict(definition))
            ledger.set_note("identity", dict(identity))
        else:
            ledger.refuse_difference(identity)
        return ledger

    @property
    def name(self) -> str:
        return self._study.study_name

    def note(self, key: str) -> Any:
        """An attribute of the study, or None."""
        return self._study.user_attrs.get(key)

    def set_note(self, key: str, value: Any) -> None:
        """Write an attribute of the study."""
        self._study.set_user_attr(key, value)

    def decide(self, notes: Mapping[str, Any]) -> None:
        """Write what is decided once for all drivers, unless it is.

        Of drivers that look at the same moment all write, and the last one counts. So whoever has
        written returns when all of them have; what stands then stays.
        """
        begun = time.monotonic()
        known = self._study.user_attrs
        open_ones = {key: value for key, value in notes.items() if known.get(key) is None}
        for key, value in open_ones.items():
            self.set_note(key, value)
        if open_ones:
            took = time.monotonic() - begun
            time.sleep(max(DECISION_SECONDS, DECISION_TIMES * took))

    def refuse_difference(self, identity: Mapping[str, Any]) -> None:
        """Make sure that this study is the one meant.

        Raises:
            StudyMismatch: it has another identity; the differing fields are named.
        """
        stored = self.note("identity")
        keys = differing_fields(stored, identity)
        differing = [
            f"{key} differs"
            if key.endswith(".sha256")
            else f"{key} is {stored.get(key)} there and {identity.get(key)} here"
            for key in keys
        ]
        if differing:
            way_back = "go on with it by name (--study NAME, no other flag)"
            if stored.get("kind", "search") != "search":
                way_back = "put back the definition that it was begun with"
            if all(key.endswith(".sha256") for key in keys):
                way_back = "put back the files that it was begun with"
            raise StudyMismatch(
                f"the study {self.name!r} in this storage is another one: {'; '.join(differing)}",
                f"{way_back}, give the definition another name, or use another --storage",
            )

    def refuse_change(self) -> None:
        """Make sure that this study is still the one that was opened; to be called before anything
        is written of what was prepared for it.

        Raises:
            StudyMismatch: another driver has begun it as the study of another definition.
        """
        if self._opened_as is not None:
            self.refuse_difference(self._opened_as)

    def trials(self) -> list[Trial]:
        """All trials by number; what others did in the last `LOOK_SECONDS` may be missing."""
        return [_trial(frozen) for frozen in self._recent()]

    def values(self) -> list[list[float]]:
        """TA, FRM and RTE of the complete trials; what others did in the last `LOOK_SECONDS` may be
        missing."""
        return [frozen.values for frozen in self._recent() if _state(frozen) == "complete"]

    def counts(self) -> Counts:
        """How many trials there are; what others did in the last `LOOK_SECONDS` may be missing."""
        return _counts(self._recent())

    def ask(self, budget: int, study_seed: int) -> Ticket | None:
        """Take the next trial, unless those complete and running make up the budget.

        Two drivers may take one each where only one was left. Both look again once theirs is
        entered in the storage, so at least one of them sees the other, and puts its own back.

        Returns:
            None, too, if another driver took the trial over before it was whole, because this
            process was stopped, or if another program has queued parameters that are none.
        """
        counts = self.counts()
        if counts.complete + counts.running >= budget:
            return None
        before = set(self._mine)
        try:
            trial = self._study.ask(self._distributions)
        except optuna.exceptions.UpdateFinishedTrialError:
            self._last_look = None
            for number in self._mine.keys() - before:
                del self._mine[number]
            return None
        except ValueError as error:
            for number in self._mine.keys() - before:
                if self._is_queued(number):  # by another program: our own are valid
                    reason = f"the parameters that were queued for it cannot be used: {error}"
                    self.fail(Ticket(number, {}, seed=0), Failure(reason))
                    return None
            raise
        number, params = trial.number, trial.params
        self._mine[number] = replace(self._mine[number], params=params)
        ticket = Ticket(number, dict(params), derive_seed(study_seed, "trial", number))
        counts = _counts(self._frozen())
        if counts.complete + counts.running > budget:
            self.put_back(ticket)
            return None
        return ticket

    def put_back(self, ticket: Ticket) -> None:
        """Let somebody else have a trial that was not begun."""
        if not self._distributions:  # an experiment begins its cells anew
            self.fail(ticket, Failure("not begun", lost=True))
            return
        trial_id = self._mine.pop(ticket.number).trial_id
        self._last_look = None
        # It may have been taken over in the meantime: then it is somebody else's already.
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial_id, "lease", None)
            self._storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def put_back_all(self) -> None:
        """Put back every trial of this driver that is not told."""
        for number, mine in list(self._mine.items()):
            self.put_back(Ticket(number, mine.params, seed=0))

    def start(self, cell: Mapping[str, Any], seed: int) -> Ticket:
        """Begin a trial of an experiment, which nobody has to propose.

        Args:
            cell: what is run, as JSON can hold it.
        """
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            user_attrs={"cell": dict(cell), "lease": self._driver.lease()},
        )
        trial_id = self._storage.create_new_trial(self._study._study_id, template)
        self._last_look = None
        number = self._storage.get_trial_number_from_id(trial_id)
        self._mine[number] = _Mine(trial_id, {})
        return Ticket(number, dict(cell), seed)

    def complete(self, ticket: Ticket, outcome: Outcome) -> None:
        """Record the figures of a trial."""
        mine = self._mine.pop(ticket.number)
        attributes = {"metrics": dict(outcome.metrics), "run": dict(outcome.run)}
        self._finish(mine.trial_id, attributes, outcome.values)

    def fail(self, ticket: Ticket, failure: Failure) -> None:
        """Record why there are no figures; a lost trial is queued again, but not for ever."""
        mine = self._mine.pop(ticket.number)
        attributes: dict[str, Any] = {"reason": failure.reason, "lost": failure.lost}
        if failure.traceback:
            attributes["traceback"] = failure.traceback
        if self._finish(mine.trial_id, attributes) and failure.lost:
            self._queue_again(ticket.number, mine.params, mine.attempt)

    def renew_leases(self) -> None:
        """Sign the leases of this driver's trials anew; to be called every few seconds."""
        for mine in list(self._mine.values()):
            # It may have been told a moment ago, here or by a driver that took it over.
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                self._sign(mine.trial_id)

    def take_over_lost(self) -> tuple[int, set[int]]:
        """Fail the trials whose driver is gone, and queue their parameters again.

        Returns:
            How many were taken over, and of which others it takes time to tell, by number.
        """
        taken, undecided = 0, set[int]()
        running = [frozen for frozen in self._frozen() if frozen.state == TrialState.RUNNING]
        self._watch.forget_all_but({frozen.number for frozen in running})
        for frozen in running:
            if frozen.number in self._mine:
                continue
            lost = self._watch.is_lost(frozen.number, frozen.user_attrs.get("lease"))
            if lost is None:
                undecided.add(frozen.number)
            elif lost:
                reason = {"reason": "its driver died or was killed", "lost": True}
                if self._finish(frozen._trial_id, reason):
                    taken += 1
                    attempt = frozen.user_attrs.get("attempt", 1)
                    self._queue_again(frozen.number, frozen.params, attempt)
        return taken, undecided

    def _is_begun(self) -> bool:
        """Whether anything was prepared for the study; if not, its models may not be trainable."""
        return bool(self._study.user_attrs.keys() - {"definition", "identity"} or self._frozen())

    def _take(self, trial: FrozenTrial) -> None:
        """Look after a trial from its first moment: to propose its parameters may take longer than
        a lease lasts."""
        attempt = trial.user_attrs.get("attempt", 1)
        self._mine[trial.number] = _Mine(trial._trial_id, trial.params, attempt)
        self._sign(trial._trial_id)

    def _is_queued(self, number: int) -> bool:
        """Whether a trial's parameters were given, and not proposed by a sampler."""
        trial = self._storage.get_trial(self._mine[number].trial_id)
        return "fixed_params" in trial.system_attrs

    def _sign(self, trial_id: int) -> None:
        self._storage.set_trial_user_attr(trial_id, "lease", self._driver.lease())

    def _queue_again(self, number: int, params: Mapping[str, Any], attempt: int) -> None:
        whole = bool(params) and params.keys() == self._distributions.keys()
        if attempt < MAX_ATTEMPTS and whole:
            self._study.enqueue_trial(
                dict(params), user_attrs={"retry_of": number, "attempt": attempt + 1}
            )

    def _finish(
        self,
        trial_id: int,
        attributes: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> bool:
        """Tell a trial complete with these values, or failed without; False if another driver told
        it before, taking ours for dead."""
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self._last_look = None
        try:
            for key, value in attributes.items():
                self._storage.set_trial_user_attr(trial_id, key, value)
            # Optuna's `tell` would read the trial twice, and ask a sampler that keeps nothing.
            return self._storage.set_trial_state_values(trial_id, state, values)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _frozen(self) -> list[FrozenTrial]:
        """All trials, as they stand in the storage now."""
        trials = self._study.get_trials(deepcopy=False)
        self._last_look = (time.monotonic(), trials)
        return trials

    def _recent(self) -> list[FrozenTrial]:
        """All trials, with what this driver did last: to look costs a server more than to write."""
        if self._last_look is not None and time.monotonic() - self._last_look[0] < LOOK_SECONDS:
            return self._last_look[1]
        return self._frozen()


def study_kinds(storage: optuna.storages.BaseStorage) -> dict[str, StudyKind]:
    """What the studies in a storage are, sorted by name; those of other programs don't count."""
    found = {
        study.study_name: study.user_attrs.get("identity") for study in storage.get_all_studies()
    }
    return {
        name: identity.get("kind", "search")
        for name, identity in sorted(found.items())
        if isinstance(identity, dict)
    }


def differing_fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The fields in which two identities differ."""
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    # Fingerprints differ as a consequence wherever a field does; alone they tell a change.
    return [key for key in keys if not key.endswith(".sha256")] or keys


def _counts(trials: Sequence[FrozenTrial]) -> Counts:
    states = [_state(frozen) for frozen in trials]
    return Counts(states.count("complete"), states.count("failed"), states.count("running"))


def _state(frozen: FrozenTrial) -> State:
    """A trial's state; one that another program has entered as complete has not been run."""
    if frozen.state == TrialState.COMPLETE and not is_recorded(frozen.user_attrs):
        return "failed"
    return _STATES[frozen.state]


def _trial(frozen: FrozenTrial) -> Trial:
    state = _state(frozen)
    complete = state == "complete"
    is_theirs = "another program has entered it" if frozen.state.is_finished() else None
    return Trial(
        number=frozen.number,
        state=state,
        params=frozen.user_attrs.get("cell") or dict(frozen.params),
        values=(frozen.values[0], frozen.values[1], frozen.values[2]) if complete else None,
        metrics=frozen.user_attrs.get("metrics", {}) if complete else {},
        run=frozen.user_attrs.get("run", {}) if complete else {},
        reason=None if complete else frozen.user_attrs.get("reason", is_theirs),
        lost=bool(frozen.user_attrs.get("lost")),
    )
