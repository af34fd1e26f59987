"""Comparing methods: who takes part, and the table that comes of it (ConMU, Tables 1 and 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from objectives.frm import Metrics, frm_score
from pareto.experiments.experiment import Results, numbered
from pareto.results.averages import columns, mean_and_sd
from pareto.results.empty_selection import count_empty
from studies import Definition
from unlearn.errors import InputError

FIGURES = ("ta", "fa", "ra", "mia", "frm", "rte")
"""In the order of the paper's tables."""


@dataclass(frozen=True)
class Row:
    """One line of the table: means and standard deviations over the repeats.

    Attributes:
        repeats: how many are complete; the rest of the row is empty where there is none.
        runs: the number of the repeat (`repeat`) and the figures that the means are taken over.
        mean, sd: of `ta`, `fa`, `ra`, `mia` (percent), `rte` (seconds), `frm`, where known; of a
            single run there is no standard deviation.
        gap: difference of the means of `ta`, `fa`, `ra`, `mia` to the retrained models' in the same
            repeats.
        frm_of_means: FRM of the mean figures against the mean figures of these, which is what a
            table of means allows to compute; `mean["frm"]` is the mean of the repeats' FRM.
        rte_share: `rte` as a share of retraining's.
    """

    label: str
    repeats: int
    runs: Sequence[Mapping[str, float]]
    mean: Mapping[str, float]
    sd: Mapping[str, float]
    gap: Mapping[str, float] = field(default_factory=dict)
    frm_of_means: float | None = None
    rte_share: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The whole table.

    Attributes:
        retrained: the retrained models that the others are measured against; their `frm` is the
            ceiling.
        original: θ_o.
        rows: the contestants, in the order given.
    """

    name: str
    retrained: Row
    original: Row
    rows: Sequence[Row]

    @property
    def lines(self) -> list[Row]:
        """The table from top to bottom."""
        return [self.retrained, self.original, *self.rows]

    def table(self) -> list[dict[str, Any]]:
        """The lines, flat."""
        return [_flat(row) for row in self.lines]


def refuse_chosen_by_report(definition: Definition, searched: Definition, trial: str) -> None:
    """Make sure that a configuration was not chosen by what a comparison is scored on.

    Which half of the test data an image belongs to is drawn from the seed.

    Args:
        searched: what the configuration was found in.
        trial: the configuration, as the user names it.

    Raises:
        InputError: the same test data were halved in another way then.
    """

    def halves(of: Definition) -> tuple[int, int | None]:
        return of.seed, of.data.test_limit

    if _place(searched) == _place(definition) and halves(searched) != halves(definition):
        raise InputError(
            f"{trial} was chosen by test data that this comparison is scored on: its study halves"
            " them in another way, with another seed or data.test_limit",
            f"compare on its own definition: --study {searched.name}, without --seed",
        )


def _place(definition: Definition) -> str | Path:
    """Where the data lie, by whatever links they are named."""
    name = definition.data.name
    folder = name.removeprefix("folder:")
    return name if folder == name else Path(folder).resolve()


def tabulate(labels: Sequence[str], results: Results) -> Comparison:
    """The table of an experiment's results, of which at least one repeat was begun.

    Args:
        labels: of the experiment's arms, in their order.
    """
    repeats = results.repeats
    retrained = _retrained(repeats)
    originals = numbered({repeat: note["original"] for repeat, note in repeats.items()})
    rows = [
        _measured(
            _row(label, runs := numbered(of), columns(runs), len(of)),
            # Other repeats have other requests, and are no measure for these runs.
            _retrained({repeat: repeats[repeat] for repeat in of}),
        )
        for label, of in zip(labels, results.runs, strict=True)
    ]
    original = _row("original model", originals, columns(originals), len(repeats))
    return Comparison(results.name, retrained, _measured(original, retrained), rows)


def _retrained(repeats: Mapping[int, Mapping[str, Any]]) -> Row:
    """The row of the retrained models of some repeats."""
    references = [note["reference"] for note in repeats.values()]
    models = [
        {"repeat": repeat, **run}
        for repeat, note in repeats.items()
        for run in note["reference"]["runs"]
    ]
    values = {
        **columns(models),
        # Of these, each repeat has one.
        "frm": [reference["ceiling"] for reference in references],
        "rte": [reference["seconds"] for reference in references],
    }
    return _row("retrained models", models, values if models else {}, len(repeats))


def _row(
    label: str,
    runs: Sequence[Mapping[str, float]],
    values: Mapping[str, Sequence[float]],
    repeats: int,
) -> Row:
    mean, sd = mean_and_sd(values)
    return Row(label, repeats, runs, mean, sd)


def _measured(row: Row, retrained: Row) -> Row:
    """A row with what follows from its difference to the retrained models."""
    if not row.repeats:
        return row
    return replace(
        row,
        gap={name: row.mean[name] - retrained.mean[name] for name in ("ta", "fa", "ra", "mia")},
        frm_of_means=frm_score(_metrics(row.mean), _metrics(retrained.mean)),
        rte_share=row.mean["rte"] / retrained.mean["rte"] if "rte" in row.mean else None,
    )


def _metrics(figures: Mapping[str, float]) -> Metrics:
    return Metrics(fa=figures["fa"], ra=figures["ra"], mia=figures["mia"])


def comparison_summary(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON; `runs` of each row are the figures of its repeats, with the
    number of each."""
    return {
        "study": comparison.name,
        "rows": [
            {**_flat(row), "runs": [dict(run) for run in row.runs]} for row in comparison.lines
        ],
    }


def _flat(row: Row) -> dict[str, Any]:
    """A row's means, standard deviations and what follows from them, by name."""
    flat: dict[str, Any] = {
        "method": row.label,
        "repeats": row.repeats,
        "empty_selections": count_empty(row.runs),
    }
    for name in FIGURES:
        if name in row.mean:
            flat[name] = row.mean[name]
            flat[f"{name}_sd"] = row.sd.get(name)
        if name in row.gap:
            flat[f"{name}_gap"] = row.gap[name]
    if row.frm_of_means is not None:
        flat["frm_of_means"] = row.frm_of_means
    if row.rte_share is not None:
        flat["rte_share"] = row.rte_share
    return flat
