"""``smupar export``: a recipe as the configuration of another training stack."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import console
from smupar_transfer.app.cautions import tell
from smupar_transfer.app.recipes import announced_spec, configured_recipe, target_plan
from smupar_transfer.records import read_text, write_atomically
from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Export, export_recipe, require_format

SIGN = "Written by smupar_transfer "
"""What the first lines of every exported file say: such a file may be written anew, another may not."""
HEAD = 200
"""Characters in which it stands."""


def run(config: DictConfig) -> None:
    """Print a recipe's file for another stack, or write it; what that stack cannot say is told, too."""
    require_format(config.to)
    output = None if config.output is None else Path(config.output)
    if output is not None:
        _require_ours(output)
    recipe = configured_recipe(config)
    assert recipe is not None  # the key has no default
    exported = export_recipe(recipe, target_plan(announced_spec(config)), config.to)
    # on standard error, so that a file written by > holds the configuration alone
    if exported.losses:
        tell([f"what {config.to} cannot say, and what else to know: the {_lines(exported)} at the start of the file"])
    if output is None:
        # not a character more, so that a file written by > is the one that output= would have made
        print(exported.text, end="")
    else:
        write_atomically(output, exported.text, "output")
        console.terminal().print(f"wrote {output}", markup=False, soft_wrap=True)


def _lines(exported: Export) -> str:
    return "point" if len(exported.losses) == 1 else f"{len(exported.losses)} points"


def _require_ours(path: Path) -> None:
    """Refuse to write over what no export wrote.

    Raises:
        InputError: there is such a file, or a folder.
    """
    if not path.exists():
        return
    remedy = "give another output=FILE, or move that away"
    if path.is_dir():
        raise InputError("output", str(path), "is a folder", remedy)
    try:
        text = read_text(path, "output")
    except InputError as error:
        raise InputError("output", str(path), f"exists and {error.problem}", remedy) from None
    if SIGN not in text[:HEAD]:
        raise InputError("output", str(path), "exists and is no file that smupar export wrote", remedy)
