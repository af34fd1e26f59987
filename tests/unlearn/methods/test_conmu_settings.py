"""The knobs of ConMU: what they may be, and what the paper chose."""

import pytest

from unlearn.methods.conmu import METHOD, PAPER_SETTINGS, ConMUConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, -0.1) for name in ("forget_z1", "forget_z2", "retain_z1", "retain_z2")],
        *[(name, -1) for name in ("alpha", "delta", "epochs")],
        *[(name, -0.1) for name in ("sigma", "gamma", "pruning_rate", "momentum")],
        *[("weight_decay", -1e-4), ("learning_rate", 0.0), ("temperature", 0.0)],
        *[("batch_size", 0), ("pruning_rate", 1.0), ("clip_norm", 0.0)],
        *[(name, float("nan")) for name in ("forget_z1", "sigma", "mu", "gamma", "clip_norm")],
        *[(name, float("inf")) for name in ("sigma", "mu", "gamma", "learning_rate")],
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        ConMUConfig(**{name: value})  # type: ignore[arg-type]


def test_defaults_are_those_of_appendix_b() -> None:
    config = ConMUConfig()
    assert (config.epochs, config.learning_rate, config.momentum) == (5, 1e-2, 0.9)
    assert (config.weight_decay, config.batch_size) == (5e-4, 128)
    assert (config.mu, config.gamma) == (0.0, 0.5)
    assert (config.pruning_rate, config.temperature, config.clip_norm) == (0.1, 1.0, None)


# Appendix B, a column per line: z₁′, z₂′ (retain), z₁, z₂ (forget), α; σ = δ = 1 throughout.
RANDOM = [
    (0.17, 0.30, 0.85, 1.00, 3),
    (0.16, 0.25, 0.18, 0.20, 4),
    (0.10, 0.28, 0.30, 0.40, 5),
    (0.16, 0.20, 0.15, 0.20, 3),
    (0.35, 0.45, 0.37, 0.40, 5),
    (0.20, 0.30, 0.30, 0.40, 5),
]
CLASS = [
    (0.20, 0.30, 0.80, 1.00, 12),
    (0.10, 0.30, 0.30, 0.40, 1),
    (0.20, 0.30, 0.50, 0.80, 4),
    (0.30, 0.40, 0.50, 0.80, 20),
    (0.35, 0.45, 0.85, 1.00, 10),
    (0.20, 0.30, 0.50, 0.80, 4),
]


@pytest.mark.parametrize(("request_kind", "table"), [("random", RANDOM), ("class", CLASS)])
def test_the_papers_settings_are_those_of_its_tables(
    request_kind: str, table: list[tuple[float, float, float, float, int]]
) -> None:
    assert [dict(p.params) for p in PAPER_SETTINGS if p.request == request_kind] == [
        {
            "retain_z1": retain_z1,
            "retain_z2": retain_z2,
            "forget_z1": forget_z1,
            "forget_z2": forget_z2,
            "alpha": alpha,
            "sigma": 1.0,
            "delta": 1,
        }
        for retain_z1, retain_z2, forget_z1, forget_z2, alpha in table
    ]


def test_what_is_searched() -> None:
    searched = {"forget_z1", "forget_z2", "retain_z1", "retain_z2", "alpha", "sigma", "delta"}
    assert METHOD.space.keys() == searched
