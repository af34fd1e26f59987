"""What came of benchmarks, and on which machine: as a table, and as JSON."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import joblib
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PACKAGES = ("pareto-search", "torch", "numpy", "scikit-learn", "optuna", "ray")

WIDTH = 120
"""Of what is written to a file or a pipe, in characters."""


@dataclass(frozen=True)
class Row:
    """One thing that was measured.

    Attributes:
        what: the thing, by a name that no other row of the benchmark has.
        median, spread: of the runs, and their interquartile range; in `unit`.
        runs: how many.
        ratio: to the baseline, the median over pairs of runs; under 1 is less than the baseline.
        baseline: the row that `ratio` is to.
    """

    what: str
    median: float
    spread: float
    unit: str
    runs: int
    ratio: float | None = None
    baseline: str | None = None
    notes: str = ""

    @classmethod
    def of(
        cls,
        what: str,
        values: Sequence[float],
        unit: str,
        *,
        baseline: tuple[str, Sequence[float]] | None = None,
        notes: str = "",
    ) -> "Row":
        """
        Args:
            values: one per run, at least one.
            baseline: its name, and its runs: one for each of `values`, made by turns with them.
        """
        quarters = statistics.quantiles(values, method="inclusive") if len(values) > 1 else [0, 0]
        name, ratio = None, None
        if baseline is not None:
            name, theirs = baseline
            ratio = statistics.median(
                ours / other for ours, other in zip(values, theirs, strict=True)
            )
        spread = quarters[-1] - quarters[0]
        return cls(what, statistics.median(values), spread, unit, len(values), ratio, name, notes)


def machine() -> dict[str, str]:
    """What the figures were measured on, and with; with the date, and how busy the machine was."""
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "processor": f"{_processor()}, {joblib.cpu_count()} cores",
        "GPU": ", ".join(gpus) or "none",
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()) + " (1, 5, 15 minutes)",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in PACKAGES)]
        ),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def show(rows: Mapping[str, Iterable[Row]], about: Mapping[str, str]) -> None:
    """Print one table.

    Args:
        rows: by benchmark.
        about: of `machine`.
    """
    table = Table("", "median", "IQR", "runs", "ratio", "to", "", box=SIMPLE_HEAD)
    for benchmark, measured in rows.items():
        table.add_section()
        table.add_row(f"[bold]{benchmark}[/]")
        for row in measured:
            group = row.what.partition(": ")[0]
            cells = (
                row.what,
                f"{row.median:.4g} {row.unit}",
                f"{row.spread:.2g}",
                str(row.runs),
                "" if row.ratio is None else _shown_ratio(row.ratio),
                (row.baseline or "").removeprefix(f"{group}: "),
                row.notes,
            )
            table.add_row(*map(escape, cells))
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table)
    for key, value in about.items():
        console.print(f"{key}: {value}", highlight=False)


def save(rows: Mapping[str, Iterable[Row]], about: Mapping[str, str], file: Path) -> None:
    """Write the same as JSON: `machine`, and `rows`, a list with the `benchmark` of each."""
    listed = [
        {"benchmark": benchmark, **asdict(row)}
        for benchmark, measured in rows.items()
        for row in measured
    ]
    content = json.dumps({"machine": about, "rows": listed}, indent=2, ensure_ascii=False)
    file.write_text(content + "\n", "utf-8")


def _shown_ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 1 else f"1/{1 / ratio:.1f}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
