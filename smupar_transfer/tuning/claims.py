"""Who is at work on which place of a study's plan, so that several commands can share one study.

A claim is a row of a table beside Optuna's. Its primary key lets one process win a place, and a heartbeat, by the
database's clock, shows that the winner lives. Where it does not, another process takes the row over, by an update that
names the row as it was read. Every transaction is a single statement.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from smupar_transfer.records.liveness import has_died, this_process

HEARTBEAT_SECONDS = 15.0
"""Between two; several may fail before a claim expires."""
EXPIRY_SECONDS = 60
"""After so long without a heartbeat a claim counts for nothing."""

TABLE = sa.Table(
    "smupar_claims",
    sa.MetaData(),
    # as long as Optuna's own column for names of studies
    sa.Column("study", sa.String(512), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("command", sa.String(160), nullable=False),
    sa.Column("process", sa.String(160), nullable=False),
    sa.Column("heartbeat", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True)
class TrialClaim:
    """A place that one process holds.

    Attributes:
        ordinal: The place in the study's plan.
        command: The process whose worker the holder is; its own, if it is nobody's worker.
        process: The holder, as ``this_process`` names it.
        after_death: Whether the process that held the place before died at it.
    """

    ordinal: int
    command: str
    process: str
    after_death: bool = field(default=False, compare=False)


class TrialClaims:
    """The claims on the places of one study.

    Args:
        engine: The connection to the database that holds the study.
        study: The study's name.
    """

    def __init__(self, engine: sa.Engine, study: str) -> None:
        self.engine, self._study = engine, study
        self._clock = _seconds(engine)

    def create_table(self) -> None:
        """Make room for claims in the database, where there is none yet."""
        try:
            TABLE.metadata.create_all(self.engine)
        except DBAPIError:
            if not sa.inspect(self.engine).has_table(TABLE.name):  # else another command made it at this moment
                raise

    def take(self, ordinals: Iterable[int], command: str) -> TrialClaim | None:
        """Claim the first of some places that no living process holds, if there is one.

        Args:
            ordinals: The places, in the order in which they are wanted.
            command: The process whose worker the holder is (see ``TrialClaim``).
        """
        rows = {row.ordinal: row for row in self._rows()}
        for ordinal in ordinals:
            claim = TrialClaim(ordinal, command, this_process())
            row = rows.get(ordinal)
            if row is None and self._insert(claim):
                return claim
            if row is not None and not _is_alive(row) and self._take_over(row, claim):
                return replace(claim, after_death=True)
        return None

    @contextmanager
    def kept_alive(self, held: Collection[TrialClaim]) -> Iterator[None]:
        """Keep claims alive while the block runs, and release them at its end.

        Args:
            held: What is held at each moment of the block. A claim that is taken out of it is neither kept alive nor
                released: the row stays, as nobody asks again for a place that is done.
        """
        ended = threading.Event()
        heart = threading.Thread(target=self._beat, args=(held, ended), daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            # no longer: a beat may be waiting for a database that does not answer
            heart.join(HEARTBEAT_SECONDS)
            for claim in list(held):
                with contextlib.suppress(SQLAlchemyError):  # a claim that cannot be released expires
                    self.release(claim)

    def release(self, claim: TrialClaim) -> None:
        """Leave a place to others, if it is still held."""
        self._execute(sa.delete(TABLE).where(self._is(claim)))

    def holds(self, claim: TrialClaim) -> bool:
        """Whether nobody has taken a claim over, as happens to a process that slept for longer than a claim lives."""
        with self.engine.connect() as connection:
            return connection.execute(sa.select(TABLE.c.ordinal).where(self._is(claim))).first() is not None

    def alive(self) -> list[TrialClaim]:
        """What living processes hold."""
        return [TrialClaim(row.ordinal, row.command, row.process) for row in self._rows() if _is_alive(row)]

    def _rows(self) -> list[sa.Row[tuple[int, str, str, int, int]]]:
        columns = (TABLE.c.ordinal, TABLE.c.command, TABLE.c.process, TABLE.c.heartbeat)
        # told by the database, as clocks of machines need not agree
        age = (self._clock - TABLE.c.heartbeat).label("age")
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(*columns, age).where(TABLE.c.study == self._study)))

    def _insert(self, claim: TrialClaim) -> bool:
        try:
            return self._execute(sa.insert(TABLE).values(study=self._study, heartbeat=self._clock, **_columns(claim)))
        except IntegrityError:  # another process was quicker
            return False

    def _take_over(self, row: sa.Row[tuple[int, str, str, int, int]], claim: TrialClaim) -> bool:
        """Put a claim in the place of a dead one, unless somebody has done so or the dead one has come to life."""
        old = self._is(TrialClaim(row.ordinal, row.command, row.process)) & (TABLE.c.heartbeat == row.heartbeat)
        return self._execute(sa.update(TABLE).where(old).values(heartbeat=self._clock, **_columns(claim)))

    def _beat(self, held: Collection[TrialClaim], ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            for claim in list(held):
                with contextlib.suppress(SQLAlchemyError):  # several beats in a row may fail before a claim expires
                    self._execute(sa.update(TABLE).where(self._is(claim)).values(heartbeat=self._clock))

    def _is(self, claim: TrialClaim) -> sa.ColumnElement[bool]:
        values = _columns(claim).items()
        return sa.and_(TABLE.c.study == self._study, *(TABLE.c[name] == value for name, value in values))

    def _execute(self, statement: object) -> bool:
        """Whether a statement changed anything."""
        with self.engine.begin() as connection:
            return bool(connection.execute(statement).rowcount)  # type: ignore[call-overload]


def _columns(claim: TrialClaim) -> dict[str, int | str]:
    return {"ordinal": claim.ordinal, "command": claim.command, "process": claim.process}


def _is_alive(row: sa.Row[tuple[int, str, str, int, int]]) -> bool:
    return row.age <= EXPIRY_SECONDS and not has_died(row.process)


def _seconds(engine: sa.Engine) -> sa.ColumnElement[int]:
    """The database's clock in whole seconds since 1970."""
    if engine.dialect.name in ("mysql", "mariadb"):
        # MySQL's EXTRACT knows no epoch
        return sa.func.unix_timestamp()
    return sa.cast(sa.extract("epoch", sa.func.now()), sa.BigInteger)
