"""Names that people give and that become folders."""

from __future__ import annotations

import re

from smupar_transfer.theory import InputError


def require_name(key: str, name: str) -> None:
    """Check that a name stands for a folder of its own in the folder of results.

    Args:
        key: The configuration key that holds the name, for the message.
        name: The name, of letters, digits, ``_``, ``-`` and ``.``; neither "." nor "..".

    Raises:
        InputError: it is something else, as a path that leads out of the folder.
    """
    # letters of any script; the two names that are left would lead elsewhere
    if not re.fullmatch(r"[\w.-]+", name) or name in (".", ".."):
        raise InputError(key, name, "is no name", "use letters, digits, _, - and . (results_dir says where it goes)")
