"""`pareto-search apply`: carry out a real forget request."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from pareto.cli._options import (
    data_dir_option,
    device_option,
    prefer_option,
    quiet_option,
    requirement_options,
    storage_option,
    workspace_option,
)
from pareto.cli._policy import stated
from pareto.cli.pick import NOTHING_SATISFIES, explain
from pareto.garbage import nothing_collected
from unlearn.errors import InputError
from unlearn.files import read_text

if TYPE_CHECKING:
    from pareto.application.evidence import Origin
    from pareto.experiments.arms import Arm
    from pareto.study import Study
    from studies import Definition

PARAMS_REMEDY = "give what `pick --format json` prints, or TOML with a method and a table [params]"


@click.command(
    epilog="""\b
Examples:
  pareto-search apply --forget request.csv --trial 141 --original model.safetensors
  pareto-search apply --forget request.csv --require "frm >= 0.7" --prefer ta
  pareto-search apply --forget next.csv --params point.json --study mine.toml \\
      --original unlearned-request/unlearned.safetensors
"""
)
@click.option(
    "--forget",
    type=click.Path(path_type=Path),
    required=True,
    help="The index file: which training samples have to go.",
)
@click.option(
    "--study",
    metavar="NAME",
    help="Whose data and model, and whose trials: a persisted study; with --params, a definition "
    "does [default: the only one in the storage].",
)
@click.option("--trial", type=click.IntRange(min=0), help="The trial whose configuration is used.")
@requirement_options
@prefer_option
@click.option(
    "--params", type=click.Path(path_type=Path), help="A file with the configuration instead."
)
@click.option(
    "--original",
    type=click.Path(path_type=Path, resolve_path=True),
    help="The weights that shall forget [default: the definition's, or the study's own].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The folder for weights and evidence [default: unlearned-<name of the index file>].",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of what is random in the method.")
@data_dir_option
@storage_option
@workspace_option
@device_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="JSON is the evidence, on standard output alone.",
)
@quiet_option
def apply(
    forget: Path,
    study: str | None,
    trial: int | None,
    require: tuple[str, ...],
    policy: Path | None,
    prefer: str,
    params: Path | None,
    original: Path | None,
    out: Path | None,
    seed: int | None,
    data_dir: Path | None,
    storage: str,
    workspace: str,
    device: str,
    form: str,
    quiet: bool,
) -> int:
    """Make a model forget the samples that a file lists, with a configuration that a search found.

    Writes unlearned.safetensors, which loads into the plain model, and evidence.json, which says
    what was asked, what was done, what it cost, and what that does and does not show.
    """
    with nothing_collected():
        from pareto.application.apply import apply_request
        from pareto.choice.pick import NothingSatisfies
        from pareto.cli._output import nothing_printed, print_json
        from pareto.cli._progress import ProgressDisplay
        from pareto.engines.devices import choose_devices
        from pareto.study import open_study

    ways = [trial is not None, params is not None, bool(require or policy)]
    if sum(ways) != 1:
        raise InputError(
            f"{'several configurations are' if any(ways) else 'no configuration is'} named",
            "give one of --trial, --params, or requirements (--require, --policy)",
        )
    source = click.get_current_context().get_parameter_source("prefer")
    if not ways[2] and source is not ParameterSource.DEFAULT:
        raise InputError("--prefer decides between trials, and one is named", "leave it out")
    place = choose_devices(device)[0]
    try:
        if params is not None:
            chosen = _from_file(params, study, storage)
        else:
            conditions = stated(require, policy)
            chosen = _from_study(study, storage, trial, conditions, prefer)
    except NothingSatisfies as failure:
        explain(failure, open_study(study, storage))
        return NOTHING_SATISFIES
    definition = chosen.definition.with_data_dir(data_dir)
    folder = out or Path(f"unlearned-{forget.stem}")
    with nothing_printed():
        evidence = apply_request(
            definition,
            chosen.arm,
            forget,
            folder,
            origin=chosen.origin,
            study_identity=None if chosen.study is None else chosen.study.identity,
            original=original,
            seed=seed,
            device=place,
            workspace=workspace,
            announce=ProgressDisplay(quiet).announce,
        )
    if form == "json":
        print_json(evidence)
    else:
        _print(evidence, folder)
    return 0


class _Chosen(NamedTuple):
    """What is carried out.

    Attributes:
        study: the persisted one that the configuration was found in, or else whose data and model
            these are; None if a definition file says all of it.
    """

    definition: "Definition"
    arm: "Arm"
    origin: "Origin"
    study: "Study | None"


def _from_study(
    name: str | None, storage: str, number: int | None, conditions: list[str], prefer: str
) -> _Chosen:
    from pareto.application.evidence import Origin
    from pareto.experiments.arms import found_in
    from pareto.study import open_study

    study = open_study(name, storage)
    if number is None:
        number = study.pick(conditions, prefer).trial.number
    arm, definition = found_in(study, number)
    return _Chosen(definition, arm, Origin.of(study, number), study)


def _from_file(file: Path, name: str | None, storage: str) -> _Chosen:
    from pareto.application.evidence import Origin
    from pareto.definitions import find_definition
    from pareto.experiments.arms import whole_arm
    from pareto.experiments.sweep import arms
    from pareto.study import find_study, open_study

    name = name or open_study(None, storage).name
    definition = find_definition(name, storage)
    study = find_study(definition.name, storage)
    content, picked = _read_params(file)
    method, params, fixed = content.get("method"), content["params"], content.get("fixed")
    origin = Origin(file=file.name)
    if picked and isinstance(fixed, dict):  # the definition adds nothing
        arm = whole_arm(str(method), {**fixed, **params})
        if study is not None and content.get("study") == study.name:
            origin = _found_by(study, content.get("number"), arm, file) or origin
    else:
        if method is not None:
            definition = definition.with_method(str(method))
        (arm,) = arms(definition, (), params)
    if name.endswith(".toml") and origin.study is None:
        study = None
    return _Chosen(definition, arm, origin, study)


def _found_by(study: "Study", number: object, arm: "Arm", file: Path) -> "Origin | None":
    """The trial that a file says its configuration is of; None if it names none.

    Raises:
        InputError: the trial has another configuration.
    """
    from pareto.application.evidence import Origin
    from pareto.experiments.arms import found_in

    if not isinstance(number, int):
        return None
    found, _ = found_in(study, number)
    names = found.config.keys() | arm.config.keys()
    differing = sorted(k for k in names if found.config.get(k) != arm.config.get(k))
    if found.method != arm.method or differing:
        raise InputError(
            f"{file} is not what trial {number} of {study.name!r} is:"
            f" {', '.join(differing) or 'the method'} differ",
            "write it anew with `pick --format json`, or leave out its `number` if it is of your"
            " own making",
        )
    return Origin.of(study, number)


def _read_params(file: Path) -> tuple[Mapping[str, Any], bool]:
    """What a file says, and whether it is JSON, as `pick` prints it; no TOML begins like that."""
    text = read_text(file)
    picked = text.lstrip().startswith("{")
    try:
        content = json.loads(text) if picked else tomllib.loads(text)
    except ValueError as error:  # of both kinds
        raise InputError(f"{file} cannot be parsed: {error}", PARAMS_REMEDY) from None
    if not isinstance(content, dict) or not isinstance(content.get("params"), dict):
        raise InputError(f"{file} has no params", PARAMS_REMEDY)
    return content, picked


def _print(evidence: Mapping[str, Any], folder: Path) -> None:
    from pareto.cli._output import (
        add_figure_columns,
        figure_cells,
        plain_table,
        result_console,
        validated_line,
    )
    from pareto.preparation.earlier import EVIDENCE, WEIGHTS
    from pareto.results.averages import SIX_FIGURES

    asked, cost = evidence["asked"], evidence["cost"]["seconds"]
    table = plain_table(
        f"{asked['forgotten']} of {asked['training_samples']} samples to be forgotten"
    )
    table.add_column("")
    names = [name for name in SIX_FIGURES if name != "frm"]  # which would take retrained models
    add_figure_columns(table, names)
    table.add_row("before", *figure_cells(evidence["figures"]["before"], names))
    table.add_row("after", *figure_cells({**evidence["figures"]["after"], "rte": cost}, names))
    result_console.print(table)
    origin = evidence["study"]
    if origin["validation"] is not None:
        line = f"Trial {origin['trial']} in its study. {validated_line(origin['validation'])}"
        result_console.print(line, soft_wrap=True)
    for title, lines in evidence["meaning"].items():
        result_console.print(f"What this {title.replace('_', ' ')}:")
        for line in lines:
            result_console.print(f"- {line}", soft_wrap=True)
    wrote = f"Wrote {folder / WEIGHTS} and {folder / EVIDENCE}."
    result_console.print(wrote, soft_wrap=True)
    following = f"The next request begins with these weights: --original {folder / WEIGHTS}"
    result_console.print(following, soft_wrap=True)
