"""What people call a setting."""

from __future__ import annotations

from smupar_transfer.statistics.labels import label


def test_a_label_says_settings_in_words_and_symbols() -> None:
    assert label("mup", (("mask", "fixed_fan_in"), ("tokens", 1000), ("init_std", 0.1))) == (
        "μP, fixed fan in, tokens 1,000, σ = 0.1"
    )
    assert label("smupar", (("epsilon", 1e-14), ("warmup", 0.4), ("base_width", 32))) == (
        "SμPar, ε = 1e-14, warm-up 0.4, base width 32"
    )
