"""The retrained reference: what FRM is measured against, and how certain that is."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objectives.evaluation import Evaluation
from objectives.frm import Metrics, frm_score, mean_metrics

MIN_RETRAININGS = 3


@dataclass(frozen=True)
class Reference:
    """R retrained models, equal but for their seeds, scored on the same samples.

    Attributes:
        runs: the figures of each, in percent; R >= 3.
        seconds: what one retraining costs, in seconds.
    """

    runs: tuple[Evaluation, ...]
    seconds: float

    def __post_init__(self) -> None:
        if len(self.runs) < MIN_RETRAININGS:
            raise ValueError(f"a reference needs {MIN_RETRAININGS} retrainings or more")

    @property
    def mean(self) -> Metrics:
        """FA_r, RA_r and MIA_r: the means over the runs."""
        return mean_metrics([run.metrics for run in self.runs])

    @property
    def ta(self) -> float:
        """The mean test accuracy, in percent."""
        return statistics.fmean(run.ta for run in self.runs)

    def spread(self) -> dict[str, float]:
        """The standard deviation of TA, FA, RA and MIA over the runs, in percentage points."""
        return {
            name: statistics.stdev(getattr(run, name) for run in self.runs)
            for name in ("ta", "fa", "ra", "mia")
        }

    @property
    def ceiling(self) -> float:
        """FRM of one retraining against the mean of the others, averaged over all R choices.

        A method with a higher FRM cannot be told from retraining.
        """
        metrics = [run.metrics for run in self.runs]
        scores = [
            frm_score(one, mean_metrics(metrics[:position] + metrics[position + 1 :]))
            for position, one in enumerate(metrics)
        ]
        return statistics.fmean(scores)

    def as_dict(self) -> dict[str, object]:
        """As JSON can hold it, with the figures that follow from the runs spelled out."""
        return {
            "runs": [run.as_dict() for run in self.runs],
            "seconds": self.seconds,
            "mean": {"ta": self.ta, "fa": self.mean.fa, "ra": self.mean.ra, "mia": self.mean.mia},
            "sd": self.spread(),
            "ceiling": self.ceiling,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> "Reference":
        """The inverse of `as_dict`."""
        runs, seconds = stored["runs"], stored["seconds"]
        assert isinstance(runs, Sequence)
        assert isinstance(seconds, float)
        return cls(tuple(Evaluation(**run) for run in runs), seconds)
