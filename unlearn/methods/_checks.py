"""What every method asks of its knobs, in the same words. Types are not looked at."""

import sys
from collections.abc import Container

UNDER_ONE = ("pruning_rate", "momentum")


def check_knobs(config: object, positive: Container[str], signed: Container[str] = ()) -> None:
    """Refuse values that make no sense, field by field; what is None is not in use.

    Args:
        config: a dataclass of numbers.
        positive: names of fields that have to be over 0.
        signed: names of fields that may be under 0; all others may be 0 at least.

    Raises:
        ValueError: names the field.
    """
    for name, value in vars(config).items():
        if value is None:
            continue
        if not abs(value) <= sys.float_info.max:  # true of NaN as well
            raise ValueError(f"{name} must be finite")
        if name in positive and value <= 0:
            raise ValueError(f"{name} must be positive")
        if name not in signed and value < 0:
            raise ValueError(f"{name} must not be negative")
        if name in UNDER_ONE and value >= 1:
            raise ValueError(f"{name} must be under 1")


def check_training_batch(batch_size: int) -> None:
    """Refuse batches that a network cannot be trained on.

    Raises:
        ValueError: names the field.
    """
    if batch_size < 2:
        raise ValueError("batch_size must be 2 or more, for the sake of batch norm")
