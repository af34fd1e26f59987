"""What `compare` and `sweep` share: their options, their run, and their ending."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pareto.cli._options import (
    data_dir_option,
    definition_option,
    engine_options,
    format_option,
    max_failures_option,
    quiet_option,
    seed_option,
    storage_option,
    together,
    workspace_option,
)
from pareto.defaults import REPEATS, EngineName

if TYPE_CHECKING:
    from pareto.cli._progress import ProgressDisplay
    from pareto.experiments.arms import Arm
    from pareto.experiments.experiment import Results
    from pareto.ledger import StudyKind
    from studies import Definition


experiment_options = together(
    definition_option,
    click.option(
        "--repeats",
        type=click.IntRange(min=1),
        default=REPEATS,
        show_default=True,
        help="Runs of each configuration, each with a seed of its own.",
    ),
    data_dir_option,
    storage_option,
    workspace_option,
    engine_options,
    seed_option,
    max_failures_option,
    format_option,
    quiet_option,
)


def perform(
    definition: "Definition",
    kind: "StudyKind",
    arms: "Sequence[Arm]",
    display: "ProgressDisplay",
    *,
    repeats: int,
    storage: str,
    workspace: str,
    max_failures: int,
    engine: EngineName,
    **on: Any,
) -> "Results":
    """Run an experiment as the options say."""
    from pareto.cli._output import nothing_printed
    from pareto.engines.settings import EngineSettings
    from pareto.experiments.experiment import run_experiment

    with nothing_printed(), display.shown():
        return run_experiment(
            definition,
            kind,
            arms,
            repeats,
            storage=storage,
            workspace=workspace,
            settings=EngineSettings(engine, **on),
            max_failures=max_failures,
            announce=display.announce,
            on_progress=display.update,
        )


@contextmanager
def ending(results: "Results", labels: Sequence[str]) -> Iterator[None]:
    """End a command as `end` does, after its results were shown in the block, as far as somebody
    reads them and there is room."""
    try:
        yield
    except OSError:
        end(results, labels)
        raise
    end(results, labels)


def end(results: "Results", labels: Sequence[str]) -> None:
    """The end of a command whose results have been shown.

    Raises:
        KeyboardInterrupt: it was stopped before all were there.
        TrialFails: runs failed.
    """
    from pareto.errors import TrialFails

    if results.interrupted:
        raise KeyboardInterrupt
    failed = [
        f"{label}, repeat {repeat + 1}: {reason}"
        for label, of in zip(labels, results.failures, strict=True)
        for repeat, reason in of.items()
    ]
    if failed:
        raise TrialFails(
            f"{len(failed)} run(s) failed: {'; '.join(failed[:3])}{' …' if failed[3:] else ''}",
            "run the same command again to try them once more",
        )
