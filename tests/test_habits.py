"""Files that other programs read about the project say what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import smupar_transfer

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = loaded("CITATION.cff")
    assert citation["version"] == smupar_transfer.__version__
    assert citation["license"] == PROJECT["license"]
    (paper,) = citation["references"]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    assert [person["family-names"] for person in paper["authors"]] == ["Dey", "Bergsma", "Hestness"]


def test_ci_runs_all_checks_under_every_supported_python() -> None:
    job = loaded(".github/workflows/ci.yml")["jobs"]["checks"]
    supported = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: \d\.\d+$", line)]
    assert job["strategy"]["matrix"]["python"] == supported
    assert job["steps"][-1]["run"] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_hooks_before_a_commit_fetch_nothing() -> None:
    hooks = loaded(".pre-commit-config.yaml")["repos"]
    assert {repository["repo"] for repository in hooks} == {"local"}
    assert {hook["language"] for repository in hooks for hook in repository["hooks"]} == {"system"}


@pytest.mark.parametrize("name", re.findall(r"`([\w./]+/[\w./]*)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
def test_every_path_that_contributing_names_exists(name: str) -> None:
    assert (ROOT / name).exists()
