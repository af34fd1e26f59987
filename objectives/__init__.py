"""How an unlearned model is scored: accuracy (TA), privacy (FRM) and cost (RTE)."""

from objectives.frm import Metrics, frm_score, is_degenerate

__all__ = ["Metrics", "frm_score", "is_degenerate"]
