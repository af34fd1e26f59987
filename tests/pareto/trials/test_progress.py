"""What is told of a search as it goes on."""

from pathlib import Path

import pytest

from pareto import storages
from pareto.choice.requirements import parse
from pareto.ledger import Ledger
from pareto.sampling.aim import Aim
from pareto.trials.progress import Progress, search_progress
from tests.pareto.recorded import Values, record, reference

ROWS: list[Values | None] = [(90, 0.2, 30), None, (80, 0.8, 20), (70, 0.7, 25), (80, 0.8, 20)]


@pytest.mark.parametrize("count", range(len(ROWS) + 1))
def test_progress_is_what_the_study_says_of_itself(count: int, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    study = record(url, "one", ROWS[:count], notes={"reference": reference(60.0)})
    complete, share = study.complete(), study.hypervolume_share()
    said = f"{count - len(complete)} failed · front {len(study.front())} · hypervolume {share:.3f}"
    ledger = Ledger(storages.connect(url, writable=False), "one")
    assert search_progress(ledger, 9) == Progress(len(complete), 9, said)
    aim = Aim(
        [parse("ta + 10 * frm > retrain_ta", {"ta", "frm", "retrain_ta"})], {"retrain_ta": 88}
    )
    required = sum(ta + 10 * frm > 88 for ta, frm, _ in study.values())
    told = search_progress(ledger, 9, aim)
    assert told == Progress(len(complete), 9, f"{said} · {required} as required")
