"""`pareto-search list`: the studies in a storage."""

import click

from pareto.cli.options import format_option, storage_option


@click.command("list", epilog="Example: pareto-search list --storage sqlite:///pareto-search.db")
@storage_option
@format_option
def list_studies(storage: str, form: str) -> None:
    """List the studies in a storage."""
    from pareto import storages
    from pareto.cli.output import plain_table, print_csv, print_json, result_console
    from pareto.ledger import Ledger, study_names
    from pareto.study import Study

    opened = storages.connect(storage, writable=False)
    rows = []
    for name in study_names(opened):
        ledger = Ledger(opened, name)
        counts, study = ledger.counts(), Study(ledger, storage)
        method = study.definition.get("method", {}).get("name", "")
        rows.append(
            {
                "study": name,
                "method": method,
                "complete": counts.complete,
                "failed": counts.failed,
                "running": counts.running,
                "front": len(study.front()),
                "hypervolume": round(study.hypervolume_share(), 4),
            }
        )
    if form == "json":
        print_json(rows)
    elif form == "csv":
        print_csv(rows)
    else:
        table = plain_table(storages.shown(storage))
        for column in ("study", "method", "complete", "failed", "running", "front", "hypervolume"):
            table.add_column(column, justify="left" if column in ("study", "method") else "right")
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        result_console.print(table)
