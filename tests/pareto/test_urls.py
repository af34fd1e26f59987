"""URLs as they may be shown: never with a password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pareto.urls import shown

# As a URL holds it: with everything that would mean something else escaped.
PASSWORDS = st.text("abcXYZ019%-_.~!$&'()*+,;=@:", min_size=6)


@given(password=PASSWORDS)
@pytest.mark.parametrize(
    "form",
    [
        "postgresql://user:{}@localhost/studies",
        "mysql+pymysql://user:{}@localhost:3306/studies?charset=utf8mb4",
        "postgresql://:{}@localhost/studies",
        "ftp://user:{}@localhost/workspace",
    ],
)
def test_a_password_is_never_shown(form: str, password: str) -> None:
    assert shown(form.format(password)) == form.format("***")


def test_a_password_among_the_options_is_not_shown_either() -> None:
    url = "postgresql://localhost/studies?user=me&password=secret&sslmode=require"
    assert shown(url) == "postgresql://localhost/studies?user=me&password=***&sslmode=require"


@pytest.mark.parametrize("url", ["sqlite:////srv/a@b:c.db", "journal:///x", "mysql://me@h/d"])
def test_what_has_no_password_is_shown_as_it_is(url: str) -> None:
    assert shown(url) == url
