"""What all tests share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, program

# A shell starts background jobs with SIGINT ignored, and children inherit that: tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
# likewise under nohup, which commands respect
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def small_numbers_are_back() -> Iterator[None]:
    """Training has a process flush denormal numbers; tests that come after it shall not notice."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(autouse=True, scope="session")
def kernels_are_built() -> None:
    """Now, if ever: what is said on standard error while they are built is no part of a command's output."""
    from smupar_transfer.kernels import native_problem

    native_problem()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser | None]:
    """Chromium, where there is one."""
    if program() is None:
        yield None
        return
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server, where one can be started."""
    from tests import postgresql

    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    from tests import postgresql

    return postgresql.new_database(request.getfixturevalue("server"))
