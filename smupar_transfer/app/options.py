"""Options of configuration groups: where their files lie, what they are, and which one a person may have meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from smupar_transfer.sweeps import shipped
from smupar_transfer.theory import did_you_mean

KEY_MEANT = {
    "budget": "budget.steps",
    "data": "data.path",
    "model": "model.width",
    "sparsity": "target.sparsity",
    "target": "target.width",
    "tuning": "tuning.n_trials",
}
"""Keys that people mean who give a group a number."""


def folders(config_dir: str | None) -> list[Path]:
    """Where groups lie, in the order in which Hydra looks for them."""
    return [shipped.CONF, *([Path(config_dir)] if config_dir else []), shipped.SWEEPS]


def options_of(group: str, where: Iterable[Path]) -> dict[str, str]:
    """Name and first line of comment of every option of a group, sorted; of files of one name, the first counts.

    Args:
        group: The name of the group, such as ``model``.
        where: The folders in which groups lie.
    """
    described: dict[str, str] = {}
    for folder in where:
        for path in (folder / group).glob("*.yaml"):
            described.setdefault(path.stem, _comment(path))
    return dict(sorted(described.items()))


def _comment(path: Path) -> str:
    """The first line of a file, if it is a comment for people."""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline().strip()
    return line.lstrip("# ") if line.startswith("#") and "@package" not in line else ""


def no_such_option(group: str, value: str, options: Iterable[str] | Mapping[str, str]) -> str:
    """What to tell a person who chose an option that is none.

    Args:
        group: The name of the group.
        value: The option that was given.
        options: The options that there are.
    """
    names = list(options)
    if _is_number(value) and group in KEY_MEANT and group != "data":
        key = "target.sparsity" if group == "target" and 0 < float(value) < 1 else KEY_MEANT[group]
        return f"{group}={value}: there is no such option; did you mean {key}={value}?"
    if group == "data" and ("." in value or "/" in value):
        hint = f"for a file of your own: data=text data.path={value}"
        return f"data={value}: there is no such option; {hint}"
    # tables and figures write μP and SμPar, with a letter that is mu in a name; there are two of it in Unicode
    guess = did_you_mean(value.replace("\N{MICRO SIGN}", "mu").replace("\N{GREEK SMALL LETTER MU}", "mu"), names, "")
    return f"{group}={value}: there is no such option; {guess and f'{guess} '}choose one of {', '.join(names)}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
