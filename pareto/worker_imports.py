"""What workers need, as it is imported by the process that forks them.

Not in `pareto.engines`: to import that package imports torch, before the block begins.
"""

import gc

from pareto.garbage import nothing_collected

with nothing_collected():
    import pareto.trials.runner  # noqa: F401

gc.freeze()  # workers need not look through it either, and share its memory
