"""Settings and families as people call them."""

from __future__ import annotations

from collections.abc import Sequence

from smupar_transfer.theory import PARAMETRIZATIONS

Setting = float | int | str

SYMBOLS = {  # settings that the papers write as a symbol; others are said in words
    "sparsity": "s",
    "learning_rate": "η",
    "init_std": "σ",
    "input_multiplier": "α_in",
    "output_multiplier": "α_out",
    "epsilon": "ε",
}
WORDS = {"base_width": "base width", "warmup": "warm-up"}


def said(name: str, value: Setting) -> str:
    """A setting as people say it, such as "s = 0.75" or "width 256"."""
    if name in ("optimizer", "mask"):
        return f"{value}".replace("_", " ")
    word = WORDS.get(name, name.rpartition(".")[2].replace("_", " "))
    # eight of its digits tell files apart, and fit into a legend
    if word == "sha256":
        return f"data {value!s:.8}"
    start = f"{SYMBOLS[name]} = " if name in SYMBOLS else f"{word} "
    return start + (value if isinstance(value, str) else f"{value:,.7g}")


def variant(apart: Sequence[tuple[str, Setting]]) -> str:
    """For people: what tells a family from others of its parametrization; empty if nothing does."""
    settings = dict(apart)
    words = []
    if "weight_decay_form" in settings or "weight_decay" in settings:
        form = settings.pop("weight_decay_form", "")
        amount = settings.pop("weight_decay", None)
        decay = " ".join(filter(None, [str(form), "decay", "" if amount is None else f"{amount:g}"]))
        words.append("no decay" if amount == 0 else decay)
    return ", ".join([*words, *(said(name, value) for name, value in settings.items())])


def label(parametrization: str, apart: Sequence[tuple[str, Setting]]) -> str:
    """For people: a parametrization's title and what tells it from others of that title."""
    return full_name(PARAMETRIZATIONS[parametrization].title, variant(apart))


def full_name(title: str, variant: str) -> str:
    """A parametrization's title and what tells it from others of that title."""
    return f"{title}, {variant}" if variant else title
