"""Studies whose trials are recorded as a search does it, but never run."""

from collections.abc import Mapping, Sequence
from typing import Any

from pareto import storages
from pareto.ledger import Ledger
from pareto.study import Study, open_study
from pareto.trials.outcome import Failure, Outcome
from tests.pareto.cheap import SEED, SPACE, sampler

Values = tuple[float, float, float]

RUN = {"host": "a", "device": "cpu (x86_64)", "fingerprint": "1"}


def reference(seconds: float, ceiling: float = 0.9, *, ta: float = 90.0) -> dict[str, Any]:
    """The retrained models, as far as pictures and tables speak of them."""
    return {"mean": {"ta": ta}, "seconds": seconds, "ceiling": ceiling, "runs": [{"ta": ta}]}


def record(
    url: str,
    name: str,
    rows: Sequence[Values | None],
    method: str = "ft",
    *,
    notes: Mapping[str, Any] | None = None,
    identity: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] = RUN,
) -> Study:
    """A study with trials of these values; None is one that failed.

    Args:
        notes: what the study was prepared with.
        identity: the rest of what the study is about.
        run: how its trials came about.
    """
    ledger = Ledger.open(
        storages.connect(url, writable=True),
        {"name": name, "method": {"name": method}},
        {"name": name, "method.name": method, "seed": SEED, **(identity or {})},
        SPACE,
        sampler(),
    )
    for row in rows:
        ticket = ledger.ask(10**6, SEED)
        assert ticket is not None
        if row is None:
            ledger.fail(ticket, Failure("ValueError: no"))
        else:
            ledger.complete(ticket, Outcome(dict(zip(("ta", "frm", "rte"), row, strict=True)), run))
    for key, note in (notes or {}).items():
        ledger.set_note(key, note)
    return open_study(name, url)
