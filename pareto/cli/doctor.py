"""`pareto-search doctor`: what this machine offers, and what is wrong with it."""

import click

from pareto.cli._options import ray_address_option, storage_option, workspace_option


@click.command(
    epilog="""\b
Examples:
  pareto-search doctor
  pareto-search doctor --storage postgresql://me@db/studies --ray-address auto
"""
)
@storage_option
@workspace_option
@ray_address_option
def doctor(storage: str, workspace: str, ray_address: str | None) -> int:
    """Check versions, devices, storage, workspace and Ray, and say what to do where one is wrong.

    The exit code is 0 if all is well, and 1 otherwise.
    """
    from rich.text import Text

    from pareto.cli._output import result_console
    from pareto.doctor import examine

    healthy = True
    for finding in examine(storage, workspace, ray_address):
        mark = ("ok   ", "green") if finding.remedy is None else ("wrong", "red")
        result_console.print(Text.assemble(mark, f" {finding.about}: {finding.said}"))
        if finding.remedy is not None:
            healthy = False
            result_console.print(Text(f"      {finding.remedy}"))
    return 0 if healthy else 1
