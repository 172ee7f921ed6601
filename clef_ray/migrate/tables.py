"""The rows of one SQL database into another, known by what names them and compared column by column. No MLflow and no Optuna here."""

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, create_engine, func, inspect, select, text, tuple_
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from clef_ray.errors import ConfigError, TrackingError
from clef_ray.migrate import Count, Tell
from clef_ray.migrate.schemas import Schema
from clef_ray.tracking import public

#: Rows that are looked up, compared and committed at a time; SQLite takes 32,766 values in one statement.
_ROWS = 500

_VERSION = "alembic_version"

Row = dict[str, Any]


def engine_of(uri: str, *, read_only: bool = False) -> Engine:
    """An engine for sqlite:///FILE or postgresql://...; ConfigError for anything else.

    read_only: a SQLite file must be there. Otherwise one that is not there yet is an empty database, of which nothing is kept.
    """
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///")).absolute()
        if path.is_file():
            where = f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}"
            return create_engine(
                "sqlite://", creator=lambda: sqlite3.connect(where, uri=True), poolclass=NullPool
            )
        if read_only:
            raise ConfigError(f"{public(uri)}: there is no such file")
        return create_engine("sqlite://")
    if uri.startswith("postgresql://"):
        return create_engine(uri.replace("postgresql://", "postgresql+psycopg://", 1))
    raise ConfigError(
        f"{public(uri)}: databases are moved from and to sqlite:////absolute/path or postgresql://user@host/database"
    )


@contextmanager
def told(way: str) -> Iterator[None]:
    """SQLAlchemy's errors as a TrackingError that names the databases, without a password and without a row's values."""
    try:
        yield
    except (SQLAlchemyError, ImportError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        lines = public(str(cause)).strip().splitlines()
        raise TrackingError(f"{way}: {lines[0] if lines else type(cause).__name__}") from None


@dataclass
class Copier:
    """Copies every table of `schema` from one connection to another; see `copy`. new: what a number of the source is in the target."""

    schema: Schema
    source: Connection
    target: Connection
    place: Callable[[str], str]
    write: bool
    overwrite: bool
    new: dict[str, dict[Any, Any]] = field(default_factory=dict)
    used: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._here, self._there = MetaData(), MetaData()
        self._here.reflect(self.source)
        self._there.reflect(self.target)

    @property
    def tables(self) -> list[Table]:
        """Those to be copied, each after the ones that it points to."""
        last = {name for name, _ in self.schema.points}
        copied = [t for t in self._here.sorted_tables if t.name not in self.schema.left]
        return sorted(copied, key=lambda table: table.name in last)

    def rows(self, table: Table) -> int:
        return int(self.source.execute(select(func.count()).select_from(table)).scalar_one())

    def copy(self, table: Table, tell: Callable[[int], None]) -> Count:
        """One table. tell: how many of its rows are done."""
        count, there = Count(f"{self.schema.program} {table.name}"), self._there.tables.get(table.name)
        if there is not None and (missing := set(table.c.keys()) - set(there.c.keys())):
            raise TrackingError(f"the target's table {table.name} lacks {', '.join(sorted(missing))}")
        found = self.source.execution_options(yield_per=_ROWS).execute(
            select(table).order_by(*table.primary_key)
        )
        for part in found.mappings().partitions(_ROWS):
            self._part(table, there, [dict(row) for row in part], count)
            if self.write:
                self.target.commit()
            tell(count.total)
        if there is not None and self.write:
            self._count_on(there)
        return count

    def _part(self, table: Table, there: Table | None, old: Sequence[Row], count: Count) -> None:
        rows = [self._translated(table, row) for row in old]
        keys = self._keys(table)
        known = {} if there is None else self._known(there, keys, rows)
        missing: list[Row] = []
        for before, row in zip(old, rows, strict=True):
            mark = tuple(row[name] for name in keys)
            other = known.get(mark)
            self._number(table, before, row, other)
            if other is None:
                missing.append(row)
            elif not self._differing(table, row, other):
                count.there += 1
            elif self.overwrite:
                self._replace(there, keys, row, self._differing(table, row, other))
                count.copied += 1
            else:
                columns = ", ".join(self._differing(table, row, other))
                count.differs(f"{' '.join(str(part) for part in mark)} ({columns})")
        count.copied += len(missing)
        if missing and there is not None and self.write:
            self.target.execute(there.insert(), missing)

    def _keys(self, table: Table) -> tuple[str, ...]:
        return self.schema.keys.get(table.name) or tuple(column.name for column in table.primary_key)

    def _translated(self, table: Table, row: Row) -> Row:
        """With the target's numbers of what it points to, and the new places of files; without a number that nobody points to."""
        changed = dict(row)
        changed.pop(self.schema.unnumbered.get(table.name, ""), None)
        for column in table.columns:
            value = row[column.name]
            owner = self._owner(table, column)
            if owner is not None and value is not None:
                changed[column.name] = self.new.get(owner, {}).get(value, value)
            if (table.name, column.name) in self.schema.places and value is not None:
                changed[column.name] = self.place(value)
        return changed

    def _owner(self, table: Table, column: Column[Any]) -> str | None:
        """The table whose number a column holds."""
        for key in column.foreign_keys:
            if self.schema.numbers.get(key.column.table.name) == key.column.name:
                return str(key.column.table.name)
        return self.schema.points.get((table.name, column.name))

    def _known(self, there: Table, keys: Sequence[str], rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
        columns = [there.c[name] for name in keys]
        wanted = [tuple(row[name] for name in keys) for row in rows]
        found = self.target.execute(select(there).where(tuple_(*columns).in_(wanted))).mappings()
        return {tuple(row[name] for name in keys): dict(row) for row in found}

    def _number(self, table: Table, before: Row, row: Row, other: Row | None) -> None:
        """Note which number the row has in the target, or give it one: its old one where that is free."""
        name = self.schema.numbers.get(table.name)
        if name is None:
            return
        if other is not None:
            row[name] = other[name]
        elif isinstance(before[name], int):
            used = self._numbers(table.name, name)
            if before[name] in used:
                row[name] = 1 + max(used)
            used.add(row[name])
        self.new.setdefault(table.name, {})[before[name]] = row[name]

    def _numbers(self, table: str, column: str) -> set[int]:
        """Those that the target has given already, or that were taken here."""
        if table not in self.used:
            there = self._there.tables.get(table)
            self.used[table] = (
                set() if there is None else set(self.target.execute(select(there.c[column])).scalars())
            )
        return self.used[table]

    def _differing(self, table: Table, row: Row, other: Row) -> list[str]:
        loose = self.schema.loose.get(table.name, frozenset())
        return [n for n, value in row.items() if n not in loose and not _same(value, other[n])]

    def _replace(self, there: Table | None, keys: Sequence[str], row: Row, changed: Sequence[str]) -> None:
        if there is None or not self.write:
            return
        which = [there.c[name] == row[name] for name in keys]
        self.target.execute(there.update().where(*which).values({name: row[name] for name in changed}))

    def _count_on(self, there: Table) -> None:
        """PostgreSQL's own counter of a table's numbers knows nothing of those that were written: let it go on after them."""
        name = self.schema.numbers.get(there.name)
        if name is None or self.target.dialect.name != "postgresql":
            return
        sequence = self.target.execute(
            select(func.pg_get_serial_sequence(there.name, name))
        ).scalar_one_or_none()
        top = self.target.execute(select(func.max(there.c[name]))).scalar_one_or_none()
        if sequence is not None and top is not None and top > 0:
            last = self.target.execute(text(f"SELECT last_value FROM {sequence}")).scalar_one()  # noqa: S608 - the server's own name
            # A counter that was never asked says 1, as one does that has given 1.
            self.target.execute(select(func.setval(sequence, max(top, last))))
        self.target.commit()


def copy_tables(
    source: str,
    target: str,
    schema: Schema,
    place: Callable[[str], str],
    tell: Tell,
    *,
    dry_run: bool,
    overwrite: bool,
) -> list[Count]:
    """All rows of `source` into `target`, whose tables exist (in a dry run they need not); then, unless it is a dry run, all are read back.

    place: the new place of a file from its old one. Raises ConfigError (no such scheme, no such file), TrackingError: no answer, tables of
    another version, a row that the target refuses or does not give back.
    """
    counts = _pass(source, target, schema, place, tell, write=not dry_run, overwrite=overwrite)
    if dry_run:
        return counts
    for first, again in zip(
        counts, _pass(source, target, schema, place, tell, write=False, overwrite=False), strict=True
    ):
        if again.copied or again.differ != first.differ or again.total != first.total:
            raise TrackingError(
                f"{public(target)}: of the {first.total} rows of {first.what} {again.copied} are missing and {again.differ} differ after "
                "the copy: did somebody write there meanwhile? The same command looks again"
            )
    return counts


def _pass(
    source: str,
    target: str,
    schema: Schema,
    place: Callable[[str], str],
    tell: Tell,
    *,
    write: bool,
    overwrite: bool,
) -> list[Count]:
    here, there = engine_of(source, read_only=True), engine_of(target)
    try:
        with (
            told(f"{public(source)} to {public(target)}"),
            here.connect() as reading,
            there.connect() as writing,
        ):
            if reading.dialect.name == "sqlite":
                reading.exec_driver_sql("BEGIN")  # one moment for all tables, whatever others write
            _check_versions(reading, writing, schema, source, target)
            copier = Copier(schema, reading, writing, place, write, overwrite)
            counts = []
            for table in copier.tables:
                rows = copier.rows(table)
                what = (
                    f"{schema.program} {table.name}" if write else f"checking {schema.program} {table.name}"
                )
                counts.append(
                    copier.copy(table, lambda done, what=what, rows=rows: tell(what, done, rows))  # type: ignore[misc]
                )
            return counts
    finally:
        here.dispose()
        there.dispose()


def _check_versions(
    reading: Connection, writing: Connection, schema: Schema, source: str, target: str
) -> None:
    versions = [_version(connection) for connection in (reading, writing)]
    if versions[1] is not None and versions[0] != versions[1]:
        raise TrackingError(
            f"{public(source)} has {schema.program}'s tables of version {versions[0]}, {public(target)} those of {versions[1]}: make a copy "
            f"of the older one, then `{schema.upgrade} URI`"
        )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION):
        return None
    return str(connection.execute(text(f"SELECT version_num FROM {_VERSION}")).scalar_one())  # noqa: S608 - a constant


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, bytes | memoryview) and other is not None:
        return bytes(one) == bytes(other)
    return bool(one == other)
