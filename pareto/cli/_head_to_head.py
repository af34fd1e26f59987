"""How two studies against each other look."""

from rich.table import Table

from pareto.cli._output import message_console, plain_table, print_csv, print_json, result_console
from pareto.results.head_to_head import HeadToHead, Side
from pareto.results.indicators import TA_TOLERANCE
from pareto.results.records import head_to_head_rows, head_to_head_summary


def print_head_to_head(compared: HeadToHead, form: str) -> None:
    """Print it in one of the formats; as CSV has no room for them, caveats then go to standard
    error."""
    if form == "json":
        print_json(head_to_head_summary(compared))
    elif form == "csv":
        print_csv(head_to_head_rows(compared))
        for caveat in compared.caveats:
            message_console.print(caveat, soft_wrap=True)
    else:
        result_console.print(_table(compared))
        for line in (*_explanations(compared), *compared.caveats):
            result_console.print(line)


def _table(compared: HeadToHead) -> Table:
    columns = [_cells(compared, side) for side in compared.sides]
    table = plain_table(" against ".join(side.study for side in compared.sides))
    table.add_column("")
    for side in compared.sides:
        table.add_column(side.study, justify="right")
    for name in columns[0]:
        table.add_row(name, *(cells[name] for cells in columns))
    return table


def _cells(compared: HeadToHead, side: Side) -> dict[str, str]:
    """The cells of one side, by the name of the row."""
    cells = {
        "method": side.method,
        "complete trials": str(side.complete),
        "on the Pareto front": str(side.front),
        "of these, dominated by the other": f"{side.dominated:.0%}",
        "hypervolume": f"{side.hypervolume_share:.3f}",
    }
    if any(each.complete > compared.budget for each in compared.sides):
        row = f"hypervolume of the first {compared.budget} trials"
        cells[row] = f"{side.hypervolume_share_at_budget:.3f}"
    enough = f"TA ≥ {compared.enough_ta:.2f} %"
    best, cheapest = side.best_frm, side.lowest_rte
    return {
        **cells,
        f"best FRM with {enough}": f"{best.metrics['frm']:.3f} in {best.metrics['rte']:.3f} s"
        f" (trial {best.number})",
        f"lowest RTE with {enough}": f"{cheapest.metrics['rte']:.3f} s for FRM"
        f" {cheapest.metrics['frm']:.3f} (trial {cheapest.number})",
        "retraining: ceiling of FRM": "" if side.ceiling is None else f"{side.ceiling:.3f}",
        "retraining: RTE": f"{side.retrain_rte:.3f} s",
    }


def _explanations(compared: HeadToHead) -> list[str]:
    one, other = compared.sides
    larger = max(compared.sides, key=lambda side: side.retrain_rte)
    cost = "the cost of retraining"
    if one.retrain_rte != other.retrain_rte:
        cost += f" in {larger.study}, the larger one"
    return [
        "Hypervolume is the share of one box for both: TA 0..100 %, FRM 0..1, RTE"
        f" 0..{compared.box_rte:.3f} s, {cost}.",
        f"TA ≥ {compared.enough_ta:.2f} %: the highest TA that both reach, less"
        f" {TA_TOLERANCE:g} point.",
    ]
