"""A study of 60,000 images on a GPU: what preparing it and its trials take, and the GPU's limit.

    python -m benchmarks.gpu --images cifar10

ResNet-18 forgets a fifth of the training images. The study runs as a whole program in an empty
folder, first with two workers on the same GPU, and goes on with one. What a budget of 200 takes is
extrapolated from fewer trials, and so labelled: at the pace of the first ones, among which are the
paper's starting points, small and quick, and at the pace of those after them. As these are not the
same configurations, paces are told in images, too. Without NVIDIA's MPS two workers take turns.
"""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import optuna
import torch
from optuna.trial import FrozenTrial
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._command import Settings, add_arguments, parser_of, run, settings
from benchmarks._program import TRIALS, Watched, empty_folder, watch
from benchmarks._report import Row
from benchmarks.main_job import complete_trials
from benchmarks.preparation import step_rows
from benchmarks.trial import spent
from pareto.engines.devices import choose_devices, use_one_thread
from unlearn import training
from unlearn.datasets import Samples
from unlearn.models import ModelFactory
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import Recipe

BUDGET = 200
TRIALS_PER_RUN, QUICK = 30, 5
WORKERS = (2, 1)
BATCH = 128

STUDY = """
name = "images"
model = "resnet18"

[data]
name = "folder:{images}"

[request]
kind = "random"
fraction = 0.2

[recipe]
epochs = {epochs}
learning_rate = 0.1
schedule = "cosine"
augment = true

[objectives]
retrainings = 3
"""
EPOCHS, QUICK_EPOCHS = 16, 8
"""Not fewer than the epochs of the longest proxy."""


def measure(settings: Settings) -> Iterator[Row]:
    """Given images and a GPU."""
    if settings.images is not None and settings.device != "cpu":
        yield from on_gpu(settings, QUICK if settings.quick else TRIALS_PER_RUN)


def on_gpu(settings: Settings, trials: int) -> Iterator[Row]:
    """
    Args:
        trials: of each run.
    """
    device = choose_devices(settings.device)[0]
    yield from step_of_training(device)
    yield from study(settings, device, trials)


def step_of_training(device: torch.device) -> Iterator[Row]:
    """ResNet-18 on 32×32 images, recorded and one order after the other, by turns."""
    use_one_thread()
    product, flops = rate_of_products(device), flops_of_step(device)
    yield Row.of("limit: product of 8192² matrices, bfloat16", product, "TFLOP/s")
    images = torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8)
    samples = Samples(images, torch.randint(0, 10, (len(images),))).to(device)
    plain, recorded = list[float](), list[float]()
    for _ in range(5):
        plain.append(seconds_per_step(samples, 1_000_000))
        recorded.append(seconds_per_step(samples, training.WORTH_RECORDING))
    base = "resnet18: a step, order by order"
    for name, seconds, baseline in (
        (base, plain, None),
        ("resnet18: a step, recorded", recorded, (base, [1000 * each for each in plain])),
    ):
        rate = flops / statistics.median(seconds) / 1e12
        share = 100 * rate / statistics.median(product)
        notes = f"{BATCH} images: {rate:.0f} TFLOP/s, {share:.0f} % of the product's"
        milliseconds = [1000 * each for each in seconds]
        yield Row.of(name, milliseconds, "ms", baseline=baseline, notes=notes)


def rate_of_products(device: torch.device, size: int = 8192) -> list[float]:
    """In TFLOP/s, of random matrices."""
    left, right = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    many, rates = 10, list[float]()
    for _ in range(6):
        stopwatch = Stopwatch(device)
        with stopwatch.phase("multiply", Work()):
            for _ in range(many):
                left @ right
        rates.append(2e-12 * many * size**3 / stopwatch.seconds)
    return rates[1:]  # the first is slower than all others


def flops_of_step(device: torch.device) -> int:
    """Forwards and backwards, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        network(device)(torch.rand(BATCH, 3, 32, 32, device=device)).sum().backward()
    return int(counter.get_total_flops())


def seconds_per_step(samples: Samples, worth_recording: int) -> float:
    """Of a long training, less a short one: without what every training takes once.

    Args:
        worth_recording: how many steps are recorded.
    """
    short, long = 50, 350
    device = samples.labels.device
    recipe, taken = Recipe(1, 0.01, batch_size=BATCH, precision="auto"), dict[int, float]()
    with patch.object(training, "WORTH_RECORDING", worth_recording):
        for steps in (short, long):
            some, model = samples.take(torch.arange(steps * BATCH)), network(device)
            order, crops = torch.Generator(), torch.Generator()
            stopwatch = Stopwatch(device)
            with stopwatch.phase("train", Work()):
                training.train(model, some, recipe, generator=order, augmentation=crops)
            taken[steps] = stopwatch.seconds
    return (taken[long] - taken[short]) / (long - short)


def network(device: torch.device) -> torch.nn.Module:
    return ModelFactory("resnet18", 10, (0.5,) * 3, (0.2,) * 3)(0, device)


def study(settings: Settings, device: torch.device, trials: int) -> Iterator[Row]:
    """From Enter to the first trial, and some trials with one worker and with several."""
    assert settings.images is not None
    epochs = QUICK_EPOCHS if settings.quick else EPOCHS
    with empty_folder() as folder:
        definition = STUDY.format(images=settings.images.absolute(), epochs=epochs)
        (folder / "images.toml").write_text(definition)
        before: list[FrozenTrial] = []
        preparation = 0.0
        for workers in WORKERS:
            budget = len(before) + trials
            words = ["--study", "images.toml", "--device", str(device)]
            ran = watch(folder, *words, "--budget", str(budget), "--workers", str(workers))
            done = complete_trials(folder)
            known = {trial.number for trial in before}
            new = [trial for trial in done if trial.number not in known]
            if not before:
                preparation = ran.first(TRIALS).at
                yield from step_rows("study", [ran])
                yield from accuracy_rows(folder)
            yield from trial_rows(ran, new, workers)
            yield whole_row(ran, new, workers, preparation)
            before = done


def accuracy_rows(folder: Path) -> Iterator[Row]:
    """Of the models that trials start from and are compared with, on the searched half."""
    stored = optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'pareto-search.db'}")
    original, reference = stored.user_attrs["original"], stored.user_attrs["reference"]
    retrained = [run["ta"] for run in reference["runs"]]
    yield Row.of("study: test accuracy of θ_o", [original["ta"]], "%")
    yield Row.of("study: test accuracy of retrained models", retrained, "%")


def trial_rows(ran: Watched, trials: Sequence[FrozenTrial], workers: int) -> Iterator[Row]:
    """
    Args:
        ran: the run that made these trials, all of them complete.
    """
    name = named(workers)
    took = [spent(trial.user_attrs["run"], trial.user_attrs["metrics"]) for trial in trials]
    for phase in took[0]:
        yield Row.of(f"{name}: {phase}", [1000 * each[phase] for each in took], "ms")
    whole = [trial.user_attrs["metrics"]["wall_seconds"] for trial in trials]
    yield Row.of(
        f"{name}: a trial, from within", whole, "s", notes=f"mean {statistics.fmean(whole):.2f}"
    )
    notes = f"mean of {len(trials) - 1}, as the clock goes"
    pace = seconds_per_trial(trials)
    yield Row.of(f"{name}: per trial", [pace], "s", notes=notes)
    images = [trial.user_attrs["run"]["phases"]["finetune"]["work"]["samples"] for trial in trials]
    rate = statistics.fmean(images) / pace
    yield Row.of(f"{name}: fine-tuned images", [rate], "per s", notes="as the clock goes")
    last = max(trial.number for trial in trials) + 1
    ending = ran.seconds - ran.first(f"{last}/{last} complete").at
    yield Row.of(f"{name}: ending, tables and pictures", [ending], "s")


def named(workers: int) -> str:
    return f"study, {workers} worker{'s' if workers > 1 else ''} per GPU"


def seconds_per_trial(trials: Sequence[FrozenTrial]) -> float:
    """Of the clock, from the end of the first to the end of the last."""
    ends = sorted(trial.datetime_complete for trial in trials if trial.datetime_complete)
    return (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)


def whole_row(ran: Watched, trials: Sequence[FrozenTrial], workers: int, preparation: float) -> Row:
    """What the whole budget would have taken at the pace of these trials.

    Args:
        ran: the run that made them.
        preparation: the seconds that preparing the study took.
    """
    pace = seconds_per_trial(trials)
    rest = ran.seconds - ran.first(TRIALS).at - len(trials) * pace
    first, last = (at(trial.number for trial in trials) for at in (min, max))
    return Row.of(
        f"{named(workers)}: all of {BUDGET} trials",
        [preparation + rest + BUDGET * pace],
        "s",
        notes=f"extrapolated from trials {first} to {last}: {preparation:.0f} s of preparation,"
        f" {rest:.0f} s of start and ending, {BUDGET * pace:.0f} s of trials",
    )


def main() -> None:
    parser = parser_of("gpu", __doc__)
    add_arguments(parser)
    parser.set_defaults(device="cuda")
    parser.add_argument("--trials", type=int, default=TRIALS_PER_RUN, help="of each run")
    chosen = parser.parse_args()
    if chosen.images is None:
        parser.error("--images is needed")
    run({"gpu": on_gpu(settings(chosen), chosen.trials)}, chosen.json)


if __name__ == "__main__":
    main()
