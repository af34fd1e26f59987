"""Pictures, one file each."""

from pareto.figures.against import draw_against
from pareto.figures.comparison import draw_comparison
from pareto.figures.front import draw_front
from pareto.figures.sweep import draw_sweep

__all__ = ["draw_against", "draw_comparison", "draw_front", "draw_sweep"]
