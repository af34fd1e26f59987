"""What this machine has measured before: unit times, and what a retraining takes.

Two measurements never agree to the last bit, and the search follows what it sees: for the same
command to give the same trials and the same front again, in another folder too, each is made once
per machine and problem, and kept in the user's cache.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from objectives.runtime import UnitTime
from unlearn.errors import InputError, first_line
from unlearn.files import cache_folder, write_at_once

T = TypeVar("T")


@dataclass(frozen=True)
class Measurement(Generic[T]):
    """Something that is measured once.

    Attributes:
        name: how its files' names begin.
        form: reads and writes its result as JSON.
        is_made: what is said when it is measured.
        was_made: what is said when it is read from the cache, before the file's name; None says
            nothing.
    """

    name: str
    form: TypeAdapter[T]
    is_made: str
    was_made: str | None = None


UNIT_TIMES = Measurement(
    "unit-times",
    TypeAdapter(dict[str, UnitTime]),
    "calibrating the runtime",
    "the runtime was calibrated before",
)
EPOCH_OF_RETRAINING = Measurement("retraining", TypeAdapter(float), "timing an epoch of retraining")
"""In seconds."""


def remembered(
    measurement: Measurement[T],
    depends_on: Mapping[str, Any],
    measure: Callable[[], T],
    announce: Callable[[str], None],
) -> T:
    """What this machine measured for what `depends_on` says: read, or measured and kept.

    Without a place to keep it, it is measured, and used, all the same.
    """
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{measurement.name}-{key}.json"
    with suppress(InputError, OSError, ValueError):  # not there, or not ours: it is measured again
        file = cache_folder() / name
        found = measurement.form.validate_json(file.read_bytes())
        if measurement.was_made is not None:
            announce(f"{measurement.was_made}: {file}")
        return found
    announce(measurement.is_made)
    measured = measure()
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        write_at_once(folder / name, measurement.form.dump_json(measured))
    except (OSError, InputError) as error:
        announce(f"what was measured cannot be kept: {first_line(error)}")
    return measured
