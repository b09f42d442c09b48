"""Names that become folders."""

from __future__ import annotations

import pytest

from smupar_transfer.records import require_name
from smupar_transfer.theory import InputError


@pytest.mark.parametrize("name", ["proxy", "a-b_c.2", "...", ".hidden", "étude", "7"])
def test_a_name_of_a_folder_is_taken(name: str) -> None:
    require_name("name", name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\\b", "a b", "a\n", "\0", "~", "C:", "a*"])
def test_what_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no name; use letters") as caught:
        require_name("study.name", name)
    assert caught.value.key == "study.name"
