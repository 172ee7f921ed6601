"""No password in a log or a record, wherever it stands in a text."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clef_ray.tracking import public


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:secret@h/db", "postgresql://u:***@h/db"),
        ("--tracking-uri=postgresql://u:secret@h/db", "--tracking-uri=postgresql://u:***@h/db"),
        ("got postgres://u:secret@h:5432 here", "got postgres://u:***@h:5432 here"),
        ("mysql://u:sec/ret@3@h/db", "mysql://u:***@h/db"),
        ("http://:secret@h", "http://:***@h"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////home/a@b/c:d@e.db", "sqlite:////home/a@b/c:d@e.db"),
        ("--set", "--set"),
        ("postgresql://h/db?sslmode=x&sslpassword=a&z=1", "postgresql://h/db?sslmode=x&sslpassword=***&z=1"),
        ("postgresql://u:a@h/db?password=b@c", "postgresql://u:***"),
        ("s3://KEY:SE/CR+ET@bucket/x", "s3://***@bucket/x"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("connection to host=h password='it\\'s mine' failed", "connection to host=h password=*** failed"),
        ("PGPASSWORD=secret psql", "PGPASSWORD=*** psql"),
        ("no password given", "no password given"),
    ],
)
def test_a_password_is_not_shown(text, shown):
    assert public(text) == shown


PLACES = (
    "postgresql://user:{raw}@host/db",
    "s3://\u00c4\u00d6:{raw}@bucket/clef",
    "postgresql://host/db?password={query}",
    "postgresql://user@host:5432/db?sslmode=require&sslpassword={query}&connect_timeout=3",
    "postgresql://user:{raw}@host/db?password={query}",
    "mysql://host/db?passwd={query}&charset=utf8",
    "postgresql://host/db?Password={query}",
    "host=h password={raw} dbname=db",
    "host=h sslpassword = '{raw} {raw}' dbname=db",
)

#: Letters that stand nowhere else in the texts; and between them what may be taken for the end or the beginning of a password.
FOREIGN = st.characters(exclude_categories=("Z", "C"), exclude_characters=string.printable)
TRAPS = st.sampled_from(
    ["@", "/", ":", "?", "&", "=", "://", "password=", "?passwd=", "&sslpassword=", "***", "(", '"']
)


@given(
    pieces=st.lists(FOREIGN | TRAPS, min_size=1, max_size=8),
    place=st.sampled_from(PLACES),
    around=st.sampled_from(["{}", "cannot open {} (why)"]),
)
@example(["\u00e4", "@", "\u00e4"], PLACES[3], "{}")
@example(["\u00e4", "?passwd=", "\u00e4"], PLACES[0], "{}")
def test_not_one_letter_of_a_password_is_left(pieces, place, around):
    password = "".join(pieces)
    text = around.format(place.format(raw=password, query=password.replace("&", "%26")))
    shown = public(text)
    assert not {*shown} - {*string.printable}
    assert "***" in shown
    assert public(shown) == shown
