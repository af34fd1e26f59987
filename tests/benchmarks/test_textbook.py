"""A trial of ours and the textbook's are the same: the same selection, and the same outcome but for
luck. On a GPU, too, where there is one.

Ours shares scores and proxies between trials, evaluates in other batches, lays its numbers out
differently, and may train in bfloat16; with its own draws of noise and order besides, single trials
differ by points. So they are compared in pairs, one configuration each, by a paired t-test. `ALARM`
makes a false alarm in any of the four figures rarer than one in a thousand platforms; that so few
pairs suffice nevertheless is shown on trials that are wrong on purpose.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from unittest.mock import patch

import pytest
import torch
from scipy.stats import ttest_rel
from torch import Tensor
from torch.testing import assert_close

import studies
from benchmarks import textbook
from benchmarks._studies import Case, draw_tickets, prepare
from benchmarks.trial import as_textbook
from pareto.preparation.prepared import Prepared
from pareto.trials.outcome import Outcome, Ticket
from pareto.trials.runner import TrialRunner
from studies import Definition
from unlearn import training
from unlearn.datasets import to_unit
from unlearn.methods import conmu
from unlearn.precision import Precision
from unlearn.selection import within_bounds

CPU = torch.device("cpu")
DEVICES = [CPU, torch.device("cuda")] if torch.cuda.is_available() else [CPU]
FIGURES = ("ta", "fa", "ra", "mia")
STUDIES, CONFIGURATIONS = 4, 6
ALARM = 2e-4


def tiny(seed: int) -> Definition:
    """Where unlearning is gentle: a model that is broken beyond repair hides every mistake."""
    bounds = {
        name: {"low": 0.5, "high": 2.0}
        for name in ("forget_z1", "forget_z2", "retain_z1", "retain_z2")
    }
    return studies.validate(
        {
            "name": "tiny",
            "seed": seed,
            "model": "small-cnn",
            "data": {
                "name": "digits",
                "train_limit": 200,
                "test_limit": 150,
                "pixel_noise": 0.2,
            },
            "request": {"kind": "random", "fraction": 0.3},
            "recipe": {"epochs": 5, "learning_rate": 0.05, "batch_size": 64},
            "space": {
                **bounds,
                "alpha": {"low": 1, "high": 2},
                "sigma": {"low": 0.1, "high": 0.3},
                "delta": {"low": 0, "high": 3},
            },
            "objectives": {"attack": "svc", "retrainings": 3, "runtime": "measured"},
        },
        "the tiny study",
    )


@dataclass(frozen=True)
class Arena:
    """A study with models, a request and a proxy of its own, and configurations to try in it."""

    prepared: Prepared
    tickets: list[Ticket]
    device: torch.device

    @property
    def request(self) -> textbook.Request:
        return as_textbook(self.prepared, self.device)

    def run(
        self, precision: Precision = "float32", params: Mapping[str, object] | None = None
    ) -> list[dict[str, float]]:
        """The figures of a trial of ours for each configuration.

        Args:
            precision: of fine-tuning.
            params: instead of the configuration's own.
        """
        definition = self.prepared.material.definition
        recipe = definition.recipe.model_copy(update={"precision": precision})
        definition = definition.model_copy(update={"recipe": recipe})
        material = replace(self.prepared.material, definition=definition)
        runner = TrialRunner(replace(self.prepared, material=material), self.device)
        figures: list[dict[str, float]] = []
        for ticket in self.tickets:
            outcome = runner.run(replace(ticket, params={**ticket.params, **(params or {})}))
            assert isinstance(outcome, Outcome)
            figures.append({name: outcome.metrics[name] for name in FIGURES})
        return figures


@pytest.fixture(scope="module", params=DEVICES, ids=str)
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False  # it decides on samples near to a bound
    with patch.object(training, "WORTH_RECORDING", 0):  # trainings are short here
        yield request.param
    torch.backends.cudnn.allow_tf32 = tf32


@pytest.fixture(scope="module")
def arenas(device: torch.device, tmp_path_factory: pytest.TempPathFactory) -> list[Arena]:
    workspace = tmp_path_factory.mktemp("workspace")
    tickets = draw_tickets(Case(tiny(0), STUDIES * CONFIGURATIONS))
    return [
        Arena(prepare(tiny(seed), device, workspace).prepared, tickets[seed::STUDIES], device)
        for seed in range(STUDIES)
    ]


@pytest.fixture(scope="module")
def textbooks(arenas: list[Arena]) -> list[textbook.Result]:
    return [
        textbook.run_trial(arena.request, ticket.params, ticket.seed)
        for arena in arenas
        for ticket in arena.tickets
    ]


def smallest_p(ours: list[dict[str, float]], textbooks: list[textbook.Result]) -> tuple[float, str]:
    """Of all figures the one that differs most clearly, and how likely luck makes it so."""
    assert len(ours) == len(textbooks) >= 20
    return min(
        (
            float(
                ttest_rel(
                    [figures[name] for figures in ours],
                    [getattr(result, name) for result in textbooks],
                ).pvalue
            ),
            name,
        )
        for name in FIGURES
    )


def test_the_same_samples_are_selected(
    arenas: list[Arena], textbooks: list[textbook.Result]
) -> None:
    results = iter(textbooks)
    for arena in arenas:
        scores = arena.prepared.precomputed
        assert scores is not None
        for ticket in arena.tickets:
            result, params = next(results), ticket.params
            forget = within_bounds(scores.forget_scores, params["forget_z1"], params["forget_z2"])
            retain = within_bounds(scores.retain_scores, params["retain_z1"], params["retain_z2"])
            assert result.kept_forget.equal(forget.nonzero().flatten())
            assert result.kept_retain.equal(retain.nonzero().flatten())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_outcome_is_the_same_but_for_luck(
    arenas: list[Arena], textbooks: list[textbook.Result], precision: Precision
) -> None:
    ours = [figures for arena in arenas for figures in arena.run(precision)]
    p, name = smallest_p(ours, textbooks)
    assert p > ALARM, f"{name} differs"


def test_a_trial_without_noise_is_found_out(
    arenas: list[Arena], textbooks: list[textbook.Result]
) -> None:
    silent = [figures for arena in arenas for figures in arena.run(params={"alpha": 0})]
    assert smallest_p(silent, textbooks)[0] < ALARM


def test_a_heavy_divergence_the_other_way_round_is_found_out(
    arenas: list[Arena], textbooks: list[textbook.Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reversed_divergence(logits: Tensor, proxy_logits: Tensor, _temperature: float) -> Tensor:
        proxy, own = proxy_logits.log_softmax(dim=1), logits.log_softmax(dim=1)
        return 20 * (own.exp() * (own - proxy)).sum(dim=1).mean()

    monkeypatch.setattr(conmu, "proxy_divergence", reversed_divergence)
    wrong = [figures for arena in arenas for figures in arena.run()]
    assert smallest_p(wrong, textbooks)[0] < ALARM


@pytest.mark.parametrize("model", textbook.NETWORKS)
def test_the_networks_are_the_same(arenas: list[Arena], model: str) -> None:
    prepared = arenas[0].prepared
    factory = replace(prepared.material.factory, name=model)
    definition = prepared.material.definition.model_copy(update={"model": model})
    ours = factory(1, CPU).train()
    material = replace(prepared.material, definition=definition, factory=factory)
    request = as_textbook(replace(prepared, material=material, original=ours.state_dict()), CPU)
    theirs = request.new_network().train()
    theirs.load_state_dict(request.original)
    answers = ours(to_unit(prepared.test.images[:20]))
    expected = theirs(torch.stack([request.test[position][0] for position in range(20)]))
    assert_close(answers, expected, rtol=1e-4, atol=1e-4)
    gradients, theirs_gradients = (
        torch.autograd.grad(answer.square().sum(), list(network.parameters()))
        for answer, network in ((answers, ours), (expected, theirs))
    )
    for gradient, other in zip(gradients, theirs_gradients, strict=True):
        assert_close(gradient, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
