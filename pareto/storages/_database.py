"""Optuna's storage in a database, made quick and sparing with studies of many thousand trials."""

import json
import sys
import weakref
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage, RDBStorage, _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pareto.garbage import nothing_collected

AT_A_TIME = 500
"""Of how many trials the parts are asked for in one statement."""


class DatabaseStorage(RDBStorage):
    """Optuna's, except for how it reads trials.

    Optuna's own makes an object of every row and parses the distribution of every value anew; and
    what is the same in all trials, such as distributions and names, it keeps once per trial.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        super().__init__(
            url.replace("{", "{{").replace("}", "}}"),  # Optuna fills in what stands in braces
            engine_kwargs=engine_kwargs,
            # Checked before, by `holds_studies`; Optuna would run all its migrations' files for it.
            skip_compatibility_check=True,
        )
        self._distributions: dict[str, BaseDistribution] = {}

    def check_writable(self) -> None:
        """Fail here, and not in mid-search, if the database is read-only.

        Raises:
            sqlalchemy.exc.DBAPIError: it is, or cannot be reached.
        """
        with self.engine.connect() as connection, connection.begin() as transaction:
            connection.exec_driver_sql("update version_info set schema_version = schema_version")
            transaction.rollback()

    def cached(self) -> BaseStorage:
        """The same, remembering trials that are over; connections end with it."""
        cached = _CachedStorage(self)
        weakref.finalize(cached, self.engine.dispose)
        return cached

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        of = models.TrialModel.__table__.c
        asked_for = of.study_id == study_id
        if trial_id_greater_than > -1:
            later = of.trial_id > trial_id_greater_than
            asked_for &= or_(later, of.trial_id.in_(included_trial_ids))
        query = select(of.trial_id, of.number, of.state, of.datetime_start, of.datetime_complete)
        with Session(self.engine) as session, nothing_collected():
            models.StudyModel.find_or_raise_by_id(study_id, session)
            rows = session.execute(query.where(asked_for).order_by(of.trial_id))
            trials = [_bare_trial(*row) for row in rows]
            for start in range(0, len(trials), AT_A_TIME):
                self._complete(session, trials[start : start + AT_A_TIME])
        return [trial for trial in trials if states is None or trial.state in states]

    def _complete(self, session: Session, trials: Sequence[FrozenTrial]) -> None:
        """Add the parts to bare trials."""
        by_id = {trial._trial_id: trial for trial in trials}

        def parts(model: Any, *columns: str) -> Iterator[tuple[Any, ...]]:
            """A trial and some columns of each of its rows, by the first of them."""
            of = model.__table__.c
            query = select(of.trial_id, *(of[column] for column in columns))
            query = query.where(of.trial_id.in_(by_id)).order_by(of[columns[0]])
            for trial_id, *values in session.execute(query):
                yield by_id[trial_id], *values

        for trial, _, name, value, text in parts(
            models.TrialParamModel, "param_id", "param_name", "param_value", "distribution_json"
        ):
            distribution = self._distribution(text)
            trial.distributions[sys.intern(name)] = distribution
            trial.params[sys.intern(name)] = distribution.to_external_repr(value)
        final = models.TrialValueModel
        for trial, _, value, kind in parts(final, "objective", "value", "value_type"):
            trial.values = [*(trial.values or ()), final.stored_repr_to_value(value, kind)]
        between = models.TrialIntermediateValueModel
        for trial, step, value, kind in parts(
            between, "step", "intermediate_value", "intermediate_value_type"
        ):
            value = between.stored_repr_to_intermediate_value(value, kind)
            trial.intermediate_values[step] = value
        for trial, key, text in parts(models.TrialUserAttributeModel, "key", "value_json"):
            trial.user_attrs[sys.intern(key)] = _parse(text)
        for trial, key, text in parts(models.TrialSystemAttributeModel, "key", "value_json"):
            trial.system_attrs[sys.intern(key)] = _parse(text)

    def _distribution(self, text: str) -> BaseDistribution:
        """A distribution from its JSON; the same object for the same text."""
        if text not in self._distributions:
            self._distributions[text] = json_to_distribution(text)
        return self._distributions[text]


def _bare_trial(
    trial_id: int,
    number: int,
    state: TrialState,
    start: datetime | None,
    complete: datetime | None,
) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=state,
        value=None,
        datetime_start=_local(start),
        datetime_complete=_local(complete),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial_id,
    )


def _local(utc: datetime | None) -> datetime | None:
    """From UTC to local time, both without a time zone, as Optuna has them."""
    return utc and utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


_parse = json.JSONDecoder(
    object_pairs_hook=lambda pairs: {sys.intern(key): value for key, value in pairs}
).decode
