"""How an unlearned model is scored: accuracy (TA), privacy (FRM) and cost (RTE)."""

from objectives.evaluation import Evaluation, EvaluationSets, evaluate
from objectives.frm import Metrics, frm_score, is_degenerate
from objectives.membership import ATTACKS, mia_efficacy
from objectives.reference import Reference
from objectives.runtime import UnitTime, calibrate, calibrated_seconds

__all__ = [
    "ATTACKS",
    "Evaluation",
    "EvaluationSets",
    "Metrics",
    "Reference",
    "UnitTime",
    "calibrate",
    "calibrated_seconds",
    "evaluate",
    "frm_score",
    "is_degenerate",
    "mia_efficacy",
]
