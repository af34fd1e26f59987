"""What the figures of a request that was carried out show, and what they do not, for readers who
are no specialists."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objectives.membership import weakness
from pareto.preparation.earlier import Earlier


@dataclass(frozen=True)
class ExpectedAccuracy:
    """What a configuration led to on half of the test data, with its study's request.

    Attributes:
        mean, sd: in percent, over fresh repeats on the half that its search has never seen
            (`validated`), or of the one trial that was chosen; a single run has no `sd`.
    """

    mean: float
    sd: float | None
    validated: bool

    def is_missed_by(self, ta: float, samples: int) -> bool:
        """Whether a test accuracy, in percent, is lower than runs and test data explain.

        By three standard deviations: those of the repeats, and of the difference between half of
        the test data and all of them, p(1 − p)/n.

        Args:
            samples: how many test images there are, n.
        """
        share = self.mean / 100
        spread = math.hypot(self.sd or 0.0, 100 * math.sqrt(share * (1 - share) / samples))
        return ta < self.mean - 3 * spread

    @property
    def told(self) -> str:
        """In words."""
        sd = "" if self.sd is None else f" ± {self.sd:.2f}"
        where = "`validate` has found" if self.validated else "its trial had"
        return f"{where} {self.mean:.2f}{sd} %"


def plain_words(
    before: Mapping[str, float],
    after: Mapping[str, float],
    *,
    retrained: bool,
    given: bool,
    expected: ExpectedAccuracy | None,
    test_samples: int,
    changed: bool,
    earlier: Earlier,
    forgotten: int,
    selected: int | None,
    flags: Sequence[str] = (),
) -> dict[str, list[str]]:
    """What stands in the evidence as its meaning: what it shows, and what it does not.

    Args:
        before, after: `ta`, `fa`, `ra`, `mia`, `attack_accuracy` of θ_o and θ_u, in percent, and
            `attack_samples`.
        retrained: whether the method trains a new model without the samples.
        given: whether θ_o came from a file.
        expected: what the configuration led to in the search that found it; None if it is not
            known to be the outcome of one.
        test_samples: how many test images there are.
        changed: whether the study was made on other data, or with another model.
        earlier: the requests before this one.
        forgotten, selected: how many samples are to be forgotten, and on how many of these the
            method works; None if it works on none, as by its nature.
        flags: of what the method has done, see `unlearn.problem.Unlearned`.
    """
    shows = [
        f"On the samples to be forgotten the model was right on {before['fa']:.2f} % before and is"
        f" right on {after['fa']:.2f} % now; on the retained ones {before['ra']:.2f} % and"
        f" {after['ra']:.2f} %; on test data {before['ta']:.2f} % and {after['ta']:.2f} %"
        f"{_of_all_classes(before, after)}.",
        f"A membership attack by confidence took {before['mia']:.2f} % of the samples to be"
        f" forgotten for samples that the model had never seen, and takes {after['mia']:.2f} %"
        " now.",
        "The weights before and after, the data, the request, the method, its parameters and its"
        " seed are named here: the same program on the same kind of device makes the same weights"
        " of them.",
    ]
    if expected is not None and expected.is_missed_by(after["ta"], test_samples):
        shows.append(
            "The configuration does not carry over to this request: it has led to a test accuracy"
            f" of {after['ta']:.2f} %, where {expected.told}. Choose another, or search on a"
            " request of this size and kind."
        )
    if earlier.positions:
        shows.append(
            f"The {len(earlier.positions)} samples that earlier requests have named were not"
            " trained on."
        )
    does_not = [*(_OF_RETRAINING if retrained else _OF_UNLEARNING), *_OF_EITHER]
    if selected is not None and selected < forgotten:
        shows.append(
            f"The method has selected {selected} of the {forgotten} samples to be forgotten, to"
            " work on; the others were left out of its training and nothing more."
        )
    if "empty_selection" in flags:
        does_not.insert(
            0,
            "It shows no forgetting at all: the configuration selected no sample, so that the"
            " method took no step. The weights are those from before, but for pruning.",
        )
    elif selected == 0:
        does_not.insert(
            0,
            "It does not show that anything was done about the samples to be forgotten: the"
            " configuration has selected none of them.",
        )
    why = weakness(before["attack_accuracy"], before["attack_samples"])
    if why is not None:
        does_not.append(
            "The membership attack can hardly tell, before the request already, what the model was"
            f" trained on from what it has never seen: {why}."
        )
    if not given:
        does_not.append(
            "The model was made by the same program, as the study says, and not handed in: another"
            " model that is in use has forgotten nothing."
        )
    if earlier.data_changed:
        does_not.append(
            "The data have changed since earlier requests: their samples are taken to be gone, but"
            " nobody has looked. Any that are still there were retained."
        )
    if changed:
        does_not.append(
            "The study was made on other data, or with another model, than those of this request:"
            " what it says need not hold here."
        )
    does_not.append(_of_choice(expected))
    return {"shows": shows, "does_not_show": does_not}


_OF_UNLEARNING = (
    "It does not show that nothing of the forgotten samples is left in the weights: the method is"
    " approximate, and nothing is proved about it.",
    "No model was retrained without the samples of this request to compare with, so that nothing"
    " here says how near this one comes to such a model.",
)
_OF_RETRAINING = (
    "The model was trained anew without the samples of this request, but that does not show that"
    " it owes nothing to them: its parameters, and which of its weights are pruned, may have been"
    " chosen with their help.",
)
_OF_EITHER = (
    "It does not show that no attack can tell the forgotten samples: one simple attack was tried. A"
    " stronger one may find them.",
    "It says nothing of copies of the samples, or of other models trained on them, such as the one"
    " from before and those that a search keeps in its workspace.",
    "It is no guarantee of compliance with any law; that is for people to judge.",
)


def _of_choice(expected: ExpectedAccuracy | None) -> str:
    if expected is None:
        return (
            "Where the configuration comes from is not known. If it was chosen by its figures on"
            " these test data, the test accuracy here is a little flattered."
        )
    return (
        "The configuration was chosen by its figures on half of the test data, so that the test"
        " accuracy here is a little flattered"
        + (
            "; `study.validation` has what it reached on the other half, for the study's own"
            " request."
            if expected.validated
            else ", and it was never validated on the other half."
        )
    )


def _of_all_classes(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Where the test accuracy leaves out classes of which nothing is retained, that with them."""
    if "ta_all_classes" not in before or before["ta_all_classes"] == before["ta"]:
        return ""
    return (
        f" of the classes that are retained, {before['ta_all_classes']:.2f} % and"
        f" {after['ta_all_classes']:.2f} % of all"
    )
