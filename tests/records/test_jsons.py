from __future__ import annotations

import json

import pytest

from smupar_transfer.records.jsons import load_json


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("{", "Expecting property name", id="cut short"),
        pytest.param("[" * 100_000 + "]" * 100_000, "nested too deeply", id="deep"),
        pytest.param('{"tokens": ' + "9" * 5000 + "}", "5,000 digits", id="5,000 digits"),
        pytest.param('{"loss": NaN}', "'NaN' is no number", id="not a number"),
        pytest.param('{"loss": -Infinity}', "'-Infinity' is no number", id="infinite"),
    ],
)
def test_what_is_no_json_is_told_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        load_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_python_writes_is_read() -> None:
    """The control of the test above, the largest whole numbers of any record included."""
    content = {"a": [1, 2.5, None, True, "μ"], "flops": 10**40, "b": {"c": []}}
    assert load_json(json.dumps(content)) == content
