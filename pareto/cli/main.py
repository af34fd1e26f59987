"""The program: finds the command, and turns every ending into an exit code."""

import atexit
import errno
import gc
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from pareto.cli.apply import apply
from pareto.cli.compare import compare
from pareto.cli.doctor import doctor
from pareto.cli.list import list_studies
from pareto.cli.pick import pick
from pareto.cli.search import search
from pareto.cli.show import show
from pareto.cli.sweep import sweep
from pareto.cli.validate import validate
from pareto.trials.stop_request import STOPS, Interruption, drop_silently, is_left_alone
from unlearn.errors import InputError, UserFacingError

INTERRUPTED = 130
INTERRUPTION = "interrupted; what was complete is kept", "run the same command again to go on"


class _SearchByDefault(click.Group):
    """A group whose command may be left out: then it searches."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "--version", "-h")):
            args = ["search", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        search_context = click.Context(search, info_name="search", parent=ctx)
        with formatter.section("Options of a search, the command when none is named"):
            records = [parameter.get_help_record(search_context) for parameter in search.params]
            formatter.write_dl([record for record in records if record is not None])
        self.format_commands(ctx, formatter)


EXAMPLES = """\b
Examples:
  pareto-search --budget 200
  pareto-search show
  pareto-search pick --require "frm >= 0.7" --prefer ta
  pareto-search validate --trial 51
  pareto-search --study mine.toml --budget 100 --workers 4
"""


@click.group(
    cls=_SearchByDefault, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="pareto-search")
def cli() -> None:
    """Find what unlearning can reach on your model: the trade-offs between accuracy (TA), privacy
    (FRM) and cost (RTE), and the one that satisfies your requirements."""


for command in (search, list_studies, show, pick, validate, apply, compare, sweep, doctor):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the program; a user's mistake ends it with two lines and exit code 2."""
    interruption = Interruption()
    for number in STOPS:
        if not is_left_alone(number):
            signal.signal(number, interruption.on_signal)
    sys.unraisablehook = drop_silently
    atexit.register(gc.freeze)  # what is left then goes with the process, without a last look at it
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the program runs
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has arrows and Greek letters
    try:
        with cli.make_context("pareto-search", sys.argv[1:]) as context:
            code: Any = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ending:  # of --help and --version
        code = ending.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "pareto-search"
        _complain(" ".join(error.format_message().split()), f"see `{where} --help`")
        code = 2
    except click.ClickException as error:
        _complain(error.format_message(), "see `pareto-search --help`")
        code = 2
    except InputError as error:
        _complain(error.problem, error.remedy)
        code = 2
    except UserFacingError as error:
        _complain(error.problem, error.remedy)
        code = 1
    except (click.Abort, KeyboardInterrupt):
        _complain(*INTERRUPTION)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
        _discard_output()
        code = 0
    except RuntimeError as error:
        import torch  # as whoever raised what is caught here has

        if not isinstance(error, torch.OutOfMemoryError):
            raise
        said, *_ = str(error).splitlines()
        _complain(
            f"the device has too little memory: {said}", "try fewer --workers, or another --device"
        )
        code = 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard_output()
        _complain(f"there is no room left to write to: {error}", "make room, and run it again")
        code = 1
    finally:
        interruption.is_over()
    try:
        sys.stdout.flush()
    except OSError:  # Python would try it once more, and have an exit code of its own
        _discard_output()
    for number in STOPS:  # nor shall what comes now have one
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code if isinstance(code, int) else 0)


def _discard_output() -> None:
    """Let go what is buffered, which nobody can take in."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(problem: str, remedy: str) -> None:
    with suppress(OSError):  # whoever wrote messages to a disk that is full has none
        print(f"error: {problem}\n{remedy}", file=sys.stderr)
