"""Unit times that this machine has measured before.

Two measurements never agree to the last bit, and the search follows what it sees: for the same
command to give the same trials again, in another folder too, a calibration is made once per
machine, problem and method, and kept in the user's cache.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from objectives.runtime import UnitTime


def remembered_unit_times(
    depends_on: Mapping[str, Any],
    measure: Callable[[], dict[str, UnitTime]],
    announce: Callable[[str], None],
) -> dict[str, UnitTime]:
    """The unit times of this machine for what `depends_on` says: read, or measured and kept.

    Without a place to keep them they are measured, and used, all the same.
    """
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
    file = user_cache_path("pareto-search") / f"unit-times-{key}.json"
    found = _read(file)
    if found is not None:
        announce(f"the runtime was calibrated before: {file}")
        return found
    announce("calibrating the runtime")
    measured = measure()
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({name: asdict(unit) for name, unit in measured.items()}))
        draft.replace(file)
    except OSError as error:
        announce(f"the calibration cannot be kept in {file.parent}: {error.strerror}")
    return measured


def _read(file: Path) -> dict[str, UnitTime] | None:
    try:
        content = json.loads(file.read_text())
        return {name: UnitTime(**unit) for name, unit in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # not there, or not ours: it is measured again
