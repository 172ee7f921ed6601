"""Rows from one database to another, on a small schema of the test's own: albums have songs, songs are played."""

import sqlite3
from contextlib import closing

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from clef_ray.errors import ConfigError, TrackingError
from clef_ray.migrate.schemas import Schema
from clef_ray.migrate.tables import copy_tables

MUSIC = Schema(
    "Music",
    "music upgrade",
    numbers={"albums": "album_id", "songs": "song_id"},
    keys={"albums": ("name",), "songs": ("album_id", "number"), "notes": ("song_id", "word")},
    unnumbered={"notes": "note_id"},
    points={("aisles", "holds"): "albums"},
    loose={"albums": frozenset({"bought"})},
    left=frozenset({"alembic_version", "caches"}),
    places=frozenset({("songs", "file")}),
)

TABLES = """
CREATE TABLE albums (album_id INTEGER PRIMARY KEY, name VARCHAR UNIQUE, bought INTEGER);
CREATE TABLE songs (song_id INTEGER PRIMARY KEY, album_id INTEGER REFERENCES albums(album_id), number INTEGER, seconds FLOAT, file VARCHAR);
CREATE TABLE notes (note_id INTEGER PRIMARY KEY, song_id INTEGER REFERENCES songs(song_id), word VARCHAR, blob BLOB);
CREATE TABLE plays (song_id INTEGER REFERENCES songs(song_id), at INTEGER, PRIMARY KEY (song_id, at));
CREATE TABLE aisles (aisle VARCHAR PRIMARY KEY, holds INTEGER);
CREATE TABLE caches (id INTEGER PRIMARY KEY);
CREATE TABLE alembic_version (version_num VARCHAR);
INSERT INTO alembic_version VALUES ('v1');
"""

#: Everything by name, without any number of the database's own.
VIEW = """
SELECT a.name, s.number, s.seconds, s.file, n.word, p.at, h.aisle FROM albums a LEFT JOIN songs s USING (album_id)
LEFT JOIN notes n USING (song_id) LEFT JOIN plays p USING (song_id) LEFT JOIN aisles h ON h.holds = a.album_id
"""


def make(path, *statements):
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
        for statement in statements:
            database.execute(*statement) if isinstance(statement, tuple) else database.execute(statement)
        database.commit()
    return f"sqlite:///{path}"


def ask(uri, question):
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        return sorted(database.execute(question).fetchall(), key=str)


def move(source, target, dry_run=False, overwrite=False, tell=lambda what, done, of: None):
    counts = copy_tables(
        source,
        target,
        MUSIC,
        lambda file: file.replace("/here/", "/there/"),
        tell,
        dry_run=dry_run,
        overwrite=overwrite,
    )
    return {c.what.removeprefix("Music "): (c.copied, c.there, c.differ) for c in counts}


@pytest.fixture
def source(tmp_path):
    return make(
        tmp_path / "source.db",
        "INSERT INTO albums VALUES (1, 'Blue', 1971), (2, 'Hejira', 1976)",
        "INSERT INTO songs VALUES (1, 1, 1, 216.5, '/here/1'), (2, 1, 2, 0.1, NULL), (3, 2, 1, 9e300, '/else/3')",
        ("INSERT INTO notes VALUES (7, 3, 'slow', ?)", (b"\x00\xff",)),
        "INSERT INTO plays VALUES (1, 10), (3, 10), (3, 11)",
        "INSERT INTO aisles VALUES ('top', 2)",
        "INSERT INTO caches VALUES (1)",
    )


def test_an_empty_database_gets_the_same_rows_and_numbers(source, tmp_path):
    target = make(tmp_path / "target.db")
    assert move(source, target) == {
        "albums": (2, 0, 0),
        "aisles": (1, 0, 0),
        "songs": (3, 0, 0),
        "notes": (1, 0, 0),
        "plays": (3, 0, 0),
    }
    for table in ("albums", "plays", "aisles"):
        assert ask(target, f"SELECT * FROM {table}") == ask(source, f"SELECT * FROM {table}")
    files = [row[-1] for row in ask(source, "SELECT * FROM songs")]
    assert files == ["/here/1", None, "/else/3"], "the source is only read"
    assert [row[-1] for row in ask(target, "SELECT * FROM songs")] == ["/there/1", None, "/else/3"]
    assert ask(target, "SELECT song_id, word, blob FROM notes") == [(3, "slow", b"\x00\xff")]
    assert ask(target, "SELECT * FROM caches") == []


def test_any_name_of_a_file_will_do(source, tmp_path):
    (odd := tmp_path / "what? 50 % #1 of ö").mkdir()
    copied = f"sqlite:///{odd}/source.db"
    (odd / "source.db").write_bytes((tmp_path / "source.db").read_bytes())
    target = make(odd / "target.db")
    assert move(copied, target)["songs"] == (3, 0, 0)
    assert ask(target, VIEW) == [
        tuple("/there/1" if c == "/here/1" else c for c in row) for row in ask(source, VIEW)
    ]


def test_again_is_nothing_to_do(source, tmp_path):
    target = make(tmp_path / "target.db")
    first = move(source, target)
    assert move(source, target) == {table: (0, copied, 0) for table, (copied, _, _) in first.items()}


def test_what_another_has_there_already_keeps_its_number_and_ours_gets_a_new_one(source, tmp_path):
    target = make(
        tmp_path / "target.db",
        "INSERT INTO albums VALUES (1, 'Court and Spark', 1974), (2, 'Blue', 2001)",
        "INSERT INTO songs VALUES (1, 1, 1, 60, NULL), (2, 2, 1, 216.5, '/there/1')",
        "INSERT INTO notes VALUES (7, 1, 'theirs', NULL)",
    )
    assert move(source, target)["albums"] == (1, 1, 0)
    names = dict(ask(target, "SELECT name, album_id FROM albums"))
    assert (names["Court and Spark"], names["Blue"]) == (1, 2)
    assert ask(target, "SELECT bought FROM albums WHERE name = 'Blue'") == [(2001,)], "loose"
    assert ask(target, "SELECT holds FROM aisles") == [(names["Hejira"],)]
    there = {
        row[:2]: row
        for row in ask(
            target,
            "SELECT name, number, seconds, word FROM albums JOIN songs USING (album_id) LEFT JOIN notes USING (song_id)",
        )
    }
    assert there == {
        ("Court and Spark", 1): ("Court and Spark", 1, 60.0, "theirs"),
        ("Blue", 1): ("Blue", 1, 216.5, None),
        ("Blue", 2): ("Blue", 2, 0.1, None),
        ("Hejira", 1): ("Hejira", 1, 9e300, "slow"),
    }
    assert move(source, target)["songs"] == (0, 3, 0)


def test_what_differs_is_left_alone_unless_told(source, tmp_path):
    target = make(tmp_path / "target.db")
    move(source, target)
    with closing(sqlite3.connect(tmp_path / "target.db")) as database:
        database.execute("UPDATE songs SET seconds = 1 WHERE song_id = 2")
        database.execute("UPDATE notes SET blob = NULL")
        database.commit()
    before = ask(target, "SELECT * FROM songs")
    counts = copy_tables(
        source,
        target,
        MUSIC,
        lambda f: f.replace("/here/", "/there/"),
        lambda *_: None,
        dry_run=False,
        overwrite=False,
    )
    found = {c.what: c for c in counts}
    assert (found["Music songs"].there, found["Music songs"].differ) == (2, 1)
    assert found["Music songs"].named == ["1 2 (seconds)"]
    assert ask(target, "SELECT * FROM songs") == before
    assert move(source, target, dry_run=True, overwrite=True)["songs"] == (1, 2, 0)
    assert ask(target, "SELECT * FROM songs") == before
    assert move(source, target, overwrite=True)["songs"] == (1, 2, 0)
    assert ask(target, "SELECT seconds FROM songs WHERE song_id = 2") == [(0.1,)]
    assert ask(target, "SELECT blob FROM notes") == [(b"\x00\xff",)]


def test_a_dry_run_writes_nothing_and_needs_no_tables(source, tmp_path):
    target = f"sqlite:///{tmp_path}/target.db"
    assert move(source, target, dry_run=True)["songs"] == (3, 0, 0)
    assert not (tmp_path / "target.db").exists()


def test_an_interrupted_copy_goes_on(source, tmp_path, monkeypatch):
    monkeypatch.setattr("clef_ray.migrate.tables._ROWS", 1)
    target = make(tmp_path / "target.db")

    def until(what, done, of):
        if (what, done) == ("Music songs", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(source, target, tell=until)
    assert len(ask(target, "SELECT * FROM songs")) == 2
    assert move(source, target)["songs"] == (1, 2, 0)
    assert ask(target, VIEW) == [
        tuple("/there/1" if c == "/here/1" else c for c in row) for row in ask(source, VIEW)
    ]


def test_what_the_target_does_not_give_back_as_it_was_is_an_error(source, tmp_path):
    target = make(
        tmp_path / "target.db",
        "CREATE TRIGGER forgetful AFTER INSERT ON songs BEGIN UPDATE songs SET seconds = round(seconds) WHERE song_id = NEW.song_id; END",
    )
    with pytest.raises(TrackingError, match=r"of the 3 rows of Music songs 0 are missing and 2 differ"):
        move(source, target)


def test_what_cannot_be_copied_says_why_and_no_password(source, tmp_path):
    other = make(tmp_path / "other.db", "UPDATE alembic_version SET version_num = 'v2'")
    older = make(tmp_path / "older.db", "ALTER TABLE songs DROP COLUMN file")
    strict = make(tmp_path / "strict.db", "CREATE UNIQUE INDEX one ON plays (song_id)")
    for target, kind, says in (
        (other, TrackingError, "version v1, .*of v2: .*music upgrade"),
        (older, TrackingError, "table songs lacks file"),
        (strict, TrackingError, "UNIQUE constraint failed"),
        ("postgresql://me:secret-word@127.0.0.1:1/x", TrackingError, "onnection refused"),
        ("journal:////x", ConfigError, "from and to sqlite"),
        ("mysql://me:secret-word@h/x", ConfigError, "from and to sqlite"),
    ):
        with pytest.raises(kind, match=says) as caught:
            move(source, target)
        assert "secret-word" not in str(caught.value)
    with pytest.raises(ConfigError, match="no such file"):
        move(f"sqlite:///{tmp_path}/absent.db", other)


LIBRARY = st.dictionaries(
    st.sampled_from("abcd"), st.dictionaries(st.integers(1, 4), st.floats(0, 100), max_size=3), max_size=4
)


def library(path, albums, first):
    """A database of {album: {number: seconds}}; numbers of its own from `first`, every second one left out."""
    statements, song = [], first
    for album_id, (name, songs) in enumerate(albums.items(), first):
        statements.append(("INSERT INTO albums VALUES (?, ?, ?)", (2 * album_id, name, first)))
        for number, seconds in songs.items():
            song += 2
            statements.append(
                ("INSERT INTO songs VALUES (?, ?, ?, ?, NULL)", (song, 2 * album_id, number, seconds))
            )
            statements.append(("INSERT INTO plays VALUES (?, ?)", (song, number)))
    return make(path, *statements)


@settings(max_examples=12)
@given(LIBRARY, LIBRARY, st.booleans(), st.integers(1, 3), st.integers(1, 3))
def test_the_target_holds_the_union_whatever_the_numbers(
    tmp_path_factory, ours, theirs, overwrite, here, there
):
    folder = tmp_path_factory.mktemp("music")
    source, target = library(folder / "source.db", ours, here), library(folder / "target.db", theirs, there)
    move(source, target, overwrite=overwrite)
    wanted = {}
    for albums in (ours, theirs) if not overwrite else (theirs, ours):  # the later one counts
        for name, songs in albums.items():
            wanted.setdefault(name, {}).update(songs)
    question = "SELECT name, number, seconds, at FROM albums LEFT JOIN songs USING (album_id) LEFT JOIN plays USING (song_id)"
    expected = [(n, k, s, k) for n, songs in wanted.items() for k, s in songs.items()]
    expected += [(n, None, None, None) for n, songs in wanted.items() if not songs]
    assert ask(target, question) == sorted(expected, key=str)
