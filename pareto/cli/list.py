"""`pareto-search list`: the studies in a storage."""

from dataclasses import asdict
from typing import Any

import click

from pareto.cli._options import format_option, storage_option


@click.command("list", epilog="Example: pareto-search list --storage sqlite:///pareto-search.db")
@storage_option
@format_option
def list_studies(storage: str, form: str) -> None:
    """List the studies in a storage: searches, comparisons and sweeps."""
    from pareto import storages
    from pareto.cli._output import plain_table, print_csv, print_json, result_console
    from pareto.ledger import Ledger, study_kinds
    from pareto.study import Study
    from pareto.urls import shown

    opened = storages.connect(storage, writable=False)
    rows: list[dict[str, Any]] = []
    for name, kind in study_kinds(opened).items():
        ledger = Ledger(opened, name)
        counts, study = ledger.counts(), Study(ledger, storage)
        row = {"study": name, "kind": kind, "method": None, **asdict(counts)}
        row |= {"front": None, "hypervolume": None}
        if kind == "search":
            row["method"] = study.definition.get("method", {}).get("name")
            row["front"] = len(study.front())
            row["hypervolume"] = round(study.hypervolume_share(), 4)
        rows.append(row)
    if form == "json":
        print_json(rows)
    elif form == "csv":
        print_csv(rows)
    else:
        table = plain_table(shown(storage))
        for column in ("study", "kind", "method"):
            table.add_column(column)
        for column in ("complete", "failed", "running", "front", "hypervolume"):
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        result_console.print(table)
