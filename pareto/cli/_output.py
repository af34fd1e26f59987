"""How results look: tables for people, JSON and CSV for programs."""

import errno
import json
import math
import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from io import UnsupportedOperation
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from objectives.frm import Metrics, is_degenerate
from objectives.membership import weakness
from pareto.choice.pick import Judgement
from pareto.ledger import Trial
from pareto.results.averages import SIX_FIGURES
from pareto.results.empty_selection import MARK, MEANING, count_empty
from pareto.results.records import csv_text
from pareto.study import Study


class _ResultConsole(Console):
    """Leaves it to the program what to do when the reader of its output has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError

    def print(self, *what: Any, **how: Any) -> None:
        with _terminal_may_go_away():
            super().print(*what, **how)


@contextmanager
def _terminal_may_go_away() -> Iterator[None]:
    """What is written in the block, and flushed, may find no terminal any more: then its reader has
    gone, as of a pipe."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise BrokenPipeError from None


class _MessageConsole(Console):
    """Falls silent when the reader of its messages has gone: what they tell of goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True

    def print(self, *what: Any, **how: Any) -> None:
        try:
            super().print(*what, **how)
        except OSError:  # its disk is full, say
            self.quiet = True


# What is printed is what stands there, such as paths with square brackets in them.
_as_it_is: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
# With its height too: on a dumb terminal a width alone does not count.
_unbounded_console = _ResultConsole(width=1000, height=1000, **_as_it_is)
result_console = _ResultConsole(**_as_it_is) if sys.stdout.isatty() else _unbounded_console
message_console = _MessageConsole(stderr=True, **_as_it_is)


@contextmanager
def nothing_printed() -> Iterator[None]:
    """Standard output is for results alone: what a model of the user's own prints while the block
    runs, here or in workers that are started there, goes to standard error."""
    with ExitStack() as stack:
        with suppress(UnsupportedOperation):  # of what stands in for the two and is no file
            out, messages = sys.stdout.fileno(), sys.stderr.fileno()
            sys.stdout.flush()
            kept = os.dup(out)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, out)
            os.dup2(messages, out)
        stack.enter_context(redirect_stdout(sys.stderr))
        yield


def print_json(content: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print JSON to standard output."""
    with _terminal_may_go_away():
        print(json.dumps(content, indent=2, ensure_ascii=False), flush=True)


def print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows to standard output as CSV, with a header."""
    with _terminal_may_go_away():
        print(csv_text(rows), end="", flush=True)


LOW_CEILING = 0.5
"""An FRM of retrained models below which nothing is to be told from the FRM of others."""

FIGURE_FORMATS = {"ta": ".2f", "frm": ".3f", "rte": ".3f", "fa": ".2f", "ra": ".2f", "mia": ".2f"}
FIGURE_TITLES = {
    "ta": "TA %\n↑",
    "frm": "FRM\n↑",
    "rte": "RTE s\n↓",
    "fa": "FA %\n",
    "ra": "RA %\n",
    "mia": "MIA %\n",
}


def add_figure_columns(table: Table, names: Sequence[str] = SIX_FIGURES) -> None:
    """A column for each of these figures, with its unit and the better direction."""
    for name in names:
        table.add_column(FIGURE_TITLES[name], justify="right", no_wrap=True)


def figure_cells(metrics: Mapping[str, float], names: Sequence[str] = SIX_FIGURES) -> list[str]:
    """One for each of these figures; what is missing stays blank."""
    return [
        format(metrics[name], FIGURE_FORMATS[name]) if name in metrics else "" for name in names
    ]


def mean_cell(mean: Mapping[str, float], sd: Mapping[str, float], name: str, form: str) -> str:
    """A mean ± its standard deviation; what is not known is left out."""
    if name not in mean:
        return ""
    return f"{mean[name]:{form}}" + (f" ± {sd[name]:{form}}" if name in sd else "")


def validated_line(validation: Mapping[str, Any]) -> str:
    """What came of running a trial again; see `pareto.choice.validation.Validation.as_dict`."""
    mean, sd = validation["mean"], validation["sd"] or {}
    told = [
        f"{name.upper()} {mean_cell(mean, sd, name, form)}{unit}"
        for name, form, unit in (("ta", ".2f", " %"), ("frm", ".3f", ""), ("rte", ".3f", " s"))
    ]
    times = len(validation["repeats"])
    return f"Run again on data the search never saw, {times}×: {', '.join(told)}."


def judgement_line(judgement: Judgement) -> str:
    """A requirement, and how far it is from binding."""
    if math.isnan(judgement.slack):
        return f"{judgement.requirement.text}: has no value"
    amount = f"{abs(judgement.slack):.4g} {'to spare' if judgement.holds else 'missing'}"
    comparison = ("" if judgement.holds else "not ") + judgement.requirement.comparison
    sides = f"{judgement.left:.4g} {comparison} {judgement.right:.4g}"
    return f"{judgement.requirement.text}: {sides}, {amount}"


def judgement_summary(judgement: Judgement) -> dict[str, Any]:
    """The same as JSON, which has no NaN."""
    figures = {"left": judgement.left, "right": judgement.right, "slack": judgement.slack}
    return {
        "requirement": judgement.requirement.text,
        "holds": judgement.holds,
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
    }


def plain_table(title: str) -> Table:
    """A table without side lines, as wide as its content."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def front_table(study: Study) -> Table:
    """The front, best TA first, with θ_o and the retrained models beneath for comparison; on a
    terminal that is too narrow for them, without parameters."""
    front = sorted(study.front(), key=lambda trial: (-trial.metrics["ta"], trial.metrics["rte"]))
    table = _front_table(study, front, list(front[0].params) if front else [])
    return table if fits(table) else _front_table(study, front, [])


def fits(table: Table) -> bool:
    """Whether a table finds room where results go."""
    if result_console is _unbounded_console:
        return True
    return _unbounded_console.measure(table).maximum <= result_console.width


def _front_table(study: Study, front: Sequence[Trial], names: Sequence[str]) -> Table:
    marks = study.marks()
    table = plain_table(f"{study.name}: {len(front)} trials on the Pareto front")
    table.add_column("trial", justify="right", style="bold", no_wrap=True)
    add_figure_columns(table)
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for trial in front:
        table.add_row(
            str(trial.number),
            *figure_cells(trial.metrics),
            *(_short(trial.params[name]) for name in names),
            Text(", ".join(marks.get(trial.number, ())), style="green"),
        )
    if study.reference:
        table.add_section()
        blanks = [""] * len(names)
        runs = len(study.reference["runs"])
        retrained = {**study.reference["mean"], "rte": study.reference["seconds"]}
        table.add_row("θ_o", *figure_cells(study.original), *blanks, "original model")
        table.add_row("θ_r", *figure_cells(retrained), *blanks, f"retrained ×{runs}")
        table.add_row("", *figure_cells(study.reference["sd"]), *blanks, "± sd")
    return table


def study_lines(study: Study) -> list[str]:
    """What has to be known beside the front."""
    complete = len(study.complete())
    states = [trial.state for trial in study.trials()]
    lines = [
        f"{complete} complete trials, {states.count('failed')} failed"
        + (f", {states.count('running')} running" if "running" in states else "")
        + f"; hypervolume {study.hypervolume_share():.3f} of the ideal box."
    ]
    if study.reference:
        price = study.reference["seconds"]
        if complete and all(rte >= price for _, _, rte in study.values()):
            lines.append(f"Every trial costs more than retraining, which takes {price:.3f} s.")
        lines.append(
            f"Ceiling: FRM {study.reference['ceiling']:.3f}. Above it nothing can be told from"
            " retraining."
        )
        if study.reference["ceiling"] < LOW_CEILING:
            lines.append("The retrained models hardly agree with each other: FRM says little here.")
        lines += attack_lines(study.reference["runs"])
        lines += degenerate_lines(study.reference["mean"])
    lines += origin_lines(study)
    if count_empty(trial.metrics for trial in study.front()):
        lines.append(f"{MARK}: {MEANING}")
    return lines


def attack_lines(retrained: Sequence[Mapping[str, float]]) -> list[str]:
    """What has to be known of the membership attack.

    Args:
        retrained: figures of the retrained models.
    """
    known = [run for run in retrained if "attack_accuracy" in run]
    if not known:
        return []
    accuracy = statistics.fmean(run["attack_accuracy"] for run in known)
    why = weakness(accuracy, known[0].get("attack_samples"))
    if why is None:
        return []
    return [
        "The membership attack can hardly tell what retrained models were trained on from what they"
        f" have never seen: {why}. MIA is a part of FRM."
    ]


def degenerate_lines(retrained: Mapping[str, float]) -> list[str]:
    """What has to be known where FRM departs from its definition.

    Args:
        retrained: mean figures of the retrained models.
    """
    if not is_degenerate(Metrics(*(retrained[name] for name in ("fa", "ra", "mia")))):
        return []
    return [
        "A figure of the retrained models lies under 1 %: FRM divides that gap by 1 percentage"
        " point instead."
    ]


def origin_lines(study: Study) -> list[str]:
    """Where trials come from, if not all from one device and one set of prepared models."""
    lines = []
    runs = [trial.run for trial in study.complete()]
    devices = Counter(f"{run['device']} of {run['host']}" for run in runs)
    if len(devices) > 1:
        listed = ", ".join(f"{count} on {device}" for device, count in devices.most_common())
        lines.append(f"Trials come from {len(devices)} devices: {listed}.")
        if study.calibrated_on:
            measured = f"{study.calibrated_on['device']} of {study.calibrated_on['host']}"
            lines.append(f"RTE is what they would take on {measured}, where it was calibrated.")
    models = len({run.get("fingerprint") for run in runs})
    if models > 1:
        lines.append(
            f"They start from {models} builds of the same models, which differ in the last bits;"
            " drivers that share a --workspace start from one."
        )
    return lines


def _short(value: object) -> str:
    """Two decimals, or two digits of what is smaller: a learning rate, say."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
