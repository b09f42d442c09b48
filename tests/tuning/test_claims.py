"""Places that one process holds at a time, on either kind of database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from smupar_transfer.records.liveness import this_process
from smupar_transfer.tuning import claims as module
from smupar_transfer.tuning.claims import TABLE, TrialClaim, TrialClaims

ELSEWHERE = "another-boot:pid:[1]/7/5"
"""A process of which this machine knows nothing: it lives for as long as its heart beats."""
Insert = Callable[..., TrialClaim]


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database, pool_size=20)
    yield engine
    engine.dispose()


@pytest.fixture
def claims(engine: sa.Engine) -> TrialClaims:
    made = TrialClaims(engine, "study")
    made.create_table()
    return made


@pytest.fixture
def insert(engine: sa.Engine, claims: TrialClaims) -> Insert:
    """Put a claim into the table whose heart beat last some seconds ago."""

    def inserted(ordinal: int, process: str = ELSEWHERE, seconds: float = 0) -> TrialClaim:
        row = {"study": "study", "ordinal": ordinal, "command": process, "process": process}
        with engine.begin() as connection:
            connection.execute(sa.insert(TABLE).values(heartbeat=claims._clock - int(seconds), **row))
        return TrialClaim(ordinal, process, process)

    return inserted


def test_the_first_place_that_nobody_holds_is_taken(claims: TrialClaims, insert: Insert) -> None:
    insert(1)
    taken = [claims.take([1, 3, 2], "command") for _ in range(3)]
    assert taken == [TrialClaim(3, "command", this_process()), TrialClaim(2, "command", this_process()), None]
    assert {claim.ordinal for claim in claims.alive()} == {1, 2, 3}


def test_nothing_is_taken_that_is_not_wanted(claims: TrialClaims) -> None:
    assert claims.take([], "command") is None
    assert claims.alive() == []


def test_the_table_may_be_made_by_another_process_at_the_same_moment(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims, create_all = TrialClaims(engine, "study"), TABLE.metadata.create_all

    def late(bind: sa.Engine) -> None:
        """Another process comes between the look and the deed."""
        create_all(bind)
        create_all(bind, checkfirst=False)

    monkeypatch.setattr(TABLE.metadata, "create_all", late)
    claims.create_table()
    assert claims.take([0], "command") is not None


def test_a_table_that_cannot_be_made_is_told(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(bind: sa.Engine) -> None:
        raise OperationalError("create", {}, Exception("permission denied"))

    monkeypatch.setattr(TABLE.metadata, "create_all", failing)
    with pytest.raises(OperationalError, match="permission denied"):
        TrialClaims(engine, "study").create_table()


def test_studies_have_claims_of_their_own(claims: TrialClaims, engine: sa.Engine) -> None:
    other = TrialClaims(engine, "other")
    assert claims.take([0], "command") == other.take([0], "command")
    assert len(claims.alive()) == len(other.alive()) == 1


def test_what_a_process_held_that_died_here_is_free_at_once(
    claims: TrialClaims, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(0)
    assert claims.take([0], "command") is None
    monkeypatch.setattr(module, "has_died", lambda process: process == ELSEWHERE)
    assert claims.alive() == []
    assert claims.take([0], "command") == TrialClaim(0, "command", this_process())
    assert claims.take([0], "command") is None


def test_what_a_process_elsewhere_held_is_free_when_its_heart_has_not_beaten_for_a_minute(
    claims: TrialClaims, insert: Insert
) -> None:
    insert(0, seconds=module.EXPIRY_SECONDS - 5)
    insert(1, seconds=module.EXPIRY_SECONDS + 5)
    assert [claim.ordinal for claim in claims.alive()] == [0]
    taken = claims.take([0, 1], "command")
    assert taken is not None
    assert taken.ordinal == 1
    assert sorted(claim.ordinal for claim in claims.alive()) == [0, 1]


@pytest.mark.parametrize("beating", [True, False])
def test_a_claim_lives_for_as_long_as_its_heart_beats(
    claims: TrialClaims, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, beating: bool
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.2 if beating else 60.0)
    claim = claims.take([0], "command")
    assert claim is not None
    with claims.kept_alive([claim]):
        with engine.begin() as connection:  # as if it had been taken some time ago
            connection.execute(sa.update(TABLE).values(heartbeat=TABLE.c.heartbeat - module.EXPIRY_SECONDS - 1))
        time.sleep(1.0)
        assert bool(claims.alive()) is beating
        assert (claims.take([0], "other") is None) is beating


def test_places_are_free_again_when_their_work_fails_and_not_when_they_are_done(claims: TrialClaims) -> None:
    for ordinal, error in ((0, KeyboardInterrupt), (1, SystemExit), (2, ValueError)):
        claim = claims.take([ordinal], "command")
        assert claim is not None
        with pytest.raises(error), claims.kept_alive([claim]):
            raise error
        assert claims.alive() == []
    done, not_done = claims.take([3], "command"), claims.take([4], "command")
    assert done is not None
    assert not_done is not None
    held = [done, not_done]
    with claims.kept_alive(held):
        held.remove(done)
    assert claims.alive() == [done]


def test_a_claim_tells_whether_the_holder_before_died_at_the_place(
    claims: TrialClaims, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(0)
    monkeypatch.setattr(module, "has_died", lambda process: process == ELSEWHERE)
    taken = [claims.take([ordinal], "command") for ordinal in (0, 1)]
    assert [claim.after_death for claim in taken if claim is not None] == [True, False]


def test_a_claim_that_was_taken_over_is_lost_and_its_holder_changes_nothing_any_more(
    claims: TrialClaims, insert: Insert
) -> None:
    lost = insert(0, seconds=module.EXPIRY_SECONDS + 5)
    assert claims.holds(lost)
    taken = claims.take([0], "command")
    assert taken is not None
    assert claims.holds(taken)
    assert not claims.holds(lost)
    claims.release(lost)
    assert claims.holds(taken)
    claims.release(taken)
    assert not claims.holds(taken)
    assert claims.alive() == []


def test_a_holder_that_comes_to_life_between_look_and_deed_keeps_its_place(
    claims: TrialClaims, engine: sa.Engine, insert: Insert
) -> None:
    holder = insert(0, seconds=module.EXPIRY_SECONDS + 5)
    (seen,) = claims._rows()
    with engine.begin() as connection:
        connection.execute(sa.update(TABLE).values(heartbeat=claims._clock))
    assert not claims._take_over(seen, TrialClaim(0, "command", this_process()))
    assert claims.holds(holder)
    (now,) = claims._rows()
    assert claims._take_over(now, TrialClaim(0, "command", this_process())), "a row as it is can be replaced"


@pytest.mark.parametrize("state", ["free", "dead"])
def test_of_many_at_once_one_wins_each_place(claims: TrialClaims, insert: Insert, state: str) -> None:
    places, rivals = range(4), 8
    if state == "dead":
        for ordinal in places:
            insert(ordinal, seconds=module.EXPIRY_SECONDS + 5)
    won: list[int] = []
    start = threading.Barrier(rivals)

    def compete(name: int) -> None:
        start.wait()
        while (claim := claims.take(places, f"command {name}")) is not None:
            won.append(claim.ordinal)

    threads = [threading.Thread(target=compete, args=(name,)) for name in range(rivals)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(places)
