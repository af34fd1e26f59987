"""Places: every kind keeps files alike, and says in one line what it does not do."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pareto.workspace.places import Place
from tests.pareto.stands import KINDS, PASSWORD, READ_ONLY, Stand, ftp_server, stand
from unlearn.errors import InputError

LARGE = os.urandom(300_000)
"""More than drivers send at a time."""


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with stand(request.param, tmp_path) as made:
        yield made


def complaint(work: Callable[[], object]) -> str:
    """What an action that the place refuses is answered with."""
    with pytest.raises(InputError) as caught:
        work()
    assert caught.value.remedy
    assert len(caught.value.problem.splitlines()) == 1
    assert PASSWORD not in f"{caught.value.problem} {caught.value.remedy}"
    return caught.value.problem


def test_a_file_is_read_as_it_was_written(at: Stand) -> None:
    Place(at.url).make_folder("a")
    for content in (b"", b"\0\xff", LARGE, b"short again"):
        Place(at.url).write("a/file", content)
        assert at.read("a/file") == content
        assert Place(at.url).read("a/file") == content


@pytest.mark.parametrize("name", ["none", "no/folder/none"])
def test_a_file_that_is_not_there_is_read_as_none(at: Stand, name: str) -> None:
    assert Place(at.url).read(name) is None


def test_what_another_program_does_is_seen(at: Stand) -> None:
    place = Place(at.url)
    place.make_folder("a")
    assert place.read("a/file") is None
    at.write("a/file", b"theirs")
    assert place.read("a/file") == b"theirs"
    at.remove("a/file")
    assert place.read("a/file") is None


def test_a_file_is_removed_once_or_twice(at: Stand) -> None:
    place = Place(at.url)
    place.write("file", b"1")
    place.remove("file")
    place.remove("file")
    assert "file" not in at.names()


def test_a_folder_is_made_with_those_that_it_lies_in(at: Stand) -> None:
    place = Place(f"{at.url}/deep")
    for _ in range(2):
        place.make_folder("a/b")
    place.write("a/b/file", b"1")
    assert at.read("deep/a/b/file") == b"1"


def test_several_programs_make_a_folder_at_once(at: Stand) -> None:
    barrier = threading.Barrier(4)

    def make(place: Place) -> None:
        barrier.wait()
        place.make_folder("a/b/c")

    with ThreadPoolExecutor(barrier.parties) as threads:
        list(threads.map(make, [Place(at.url)] * barrier.parties))
    assert at.names() == {"a", "a/b", "a/b/c"}


@pytest.mark.parametrize("within", ["", "/to/be/made"])
def test_a_check_leaves_nothing_behind(at: Stand, within: str) -> None:
    Place(at.url + within).check()
    assert at.names() == set()


def test_a_place_that_is_a_file_is_refused(at: Stand) -> None:
    at.write("file", b"1")
    place = Place(f"{at.url}/file")
    if not at.url.startswith("memory"):  # which does not mind
        assert "cannot write into" in complaint(place.check)
        assert "cannot write into" in complaint(lambda: place.make_folder("a"))
    assert at.read("file") == b"1"


def test_only_a_place_on_this_machine_has_a_path(at: Stand, tmp_path: Path) -> None:
    here = tmp_path / "a" if "://" not in at.url or at.url.startswith("file") else None
    assert Place(at.url).local_path("a") == here


def test_a_relative_path_is_meant_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Place("a").make_folder("b")
    assert (tmp_path / "a" / "b").is_dir()


def test_an_unknown_protocol_is_refused() -> None:
    assert complaint(Place("gopher://host/x").check).endswith("Protocol not known: gopher")


def test_a_driver_that_is_not_installed_is_named() -> None:
    assert "Install ocifs" in complaint(Place("oci://bucket/x").check)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that root cannot write")
def test_a_folder_that_cannot_be_written_is_refused() -> None:
    assert "cannot write into /proc/self/x: " in complaint(Place("/proc/self/x").check)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to("/dev/full")
    said = complaint(lambda: Place(str(tmp_path)).write("file", LARGE))
    assert said == f"cannot write {tmp_path}/file: No space left on device"


def test_a_server_that_only_lets_read_is_refused(tmp_path: Path) -> None:
    with ftp_server(tmp_path, READ_ONLY) as url:
        assert "550 Not enough privileges" in complaint(Place(url).check)
        assert "550 Not enough privileges" in complaint(lambda: Place(url).write("file", b"1"))


def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    with ftp_server(tmp_path) as url:
        place = Place(url.replace(PASSWORD, "guessed"))
        assert "530 Authentication failed" in complaint(place.check)
        assert "guessed" not in complaint(place.check)


def test_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    with ftp_server(tmp_path) as url:
        place = Place(url)
        place.write("file", b"1")
    for work in (place.check, lambda: place.read("file"), lambda: place.write("file", b"2")):
        assert "Connection refused" in complaint(work)


@pytest.mark.parametrize("password", ["s3cret", "s3/s3cret", "s3@s3cret", "s3:s3cret", "s3%63ret"])
def test_a_password_is_never_shown(password: str) -> None:
    place = Place(f"ftp://user:{password}@127.0.0.1:1/x")
    said = f"{place} {complaint(place.check)}"
    assert "127.0.0.1:1/x" in said
    assert not any(part in said for part in ("s3", "cret", "%63"))
