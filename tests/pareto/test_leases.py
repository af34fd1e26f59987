"""Leases: whose driver lives, and whose is gone."""

import itertools
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest

from pareto import leases
from pareto.leases import SIGNED, Driver, LeaseWatch, beating


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases run out as soon as they are not renewed."""
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(leases, "UNSIGNED_SECONDS", 0.0)


@pytest.fixture
def watch() -> LeaseWatch:
    return LeaseWatch(Driver.this_process())


def elsewhere() -> Driver:
    """A driver on another machine, whose process number happens to be used here too."""
    return replace(Driver.this_process(), host="elsewhere")


def ended_process() -> Driver:
    """A driver on this machine that is over."""
    code = "from pareto.leases import Driver; print(Driver.this_process().started); input()"
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    started = float(process.stdout.readline())
    driver = replace(Driver.this_process(), pid=process.pid, started=started)
    process.kill()
    process.communicate()
    return driver


def test_a_lease_names_this_process() -> None:
    lease = Driver.this_process().lease()
    assert lease["pid"] == os.getpid()
    started = lease["started"] / os.sysconf("SC_CLK_TCK") + psutil.boot_time()
    assert started == pytest.approx(psutil.Process().create_time(), abs=1.0)


def test_a_correction_of_the_clock_makes_no_other_process(
    watch: LeaseWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, true_time = Driver.this_process().lease(), psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: true_time(process) + 60)
    assert watch.is_lost(0, lease) is None


def test_each_signature_has_a_new_beat() -> None:
    driver = Driver.this_process()
    first = driver.lease()
    time.sleep(0.01)
    assert driver.lease()["beat"] > first["beat"]


def test_drivers_within_one_process_are_told_apart() -> None:
    assert Driver.this_process().id != Driver.this_process().id


def test_a_driver_whose_process_is_gone_is_lost_at_once(watch: LeaseWatch) -> None:
    assert watch.is_lost(0, ended_process().lease()) is True


def test_a_zombie_drives_nothing(watch: LeaseWatch) -> None:
    code = "from pareto.leases import Driver; print(Driver.this_process().started)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    started = float(process.stdout.read())
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    driver = replace(Driver.this_process(), pid=process.pid, started=started)
    assert watch.is_lost(0, driver.lease()) is True
    process.communicate()


def test_a_process_number_used_again_is_not_the_driver(watch: LeaseWatch) -> None:
    driver = Driver.this_process()
    before = replace(driver, started=driver.started - os.sysconf("SC_CLK_TCK"))
    assert watch.is_lost(0, before.lease()) is True


def test_a_driver_that_lives_here_is_not_lost(watch: LeaseWatch) -> None:
    assert watch.is_lost(0, Driver.this_process().lease()) is not True


def test_process_numbers_of_another_machine_mean_nothing(watch: LeaseWatch) -> None:
    gone_here = replace(ended_process(), host="elsewhere")
    assert watch.is_lost(0, gone_here.lease()) is None


@pytest.mark.usefixtures("short")
def test_a_changing_beat_is_a_sign_of_life(watch: LeaseWatch) -> None:
    driver = elsewhere()
    watch.is_lost(0, driver.lease())
    for _ in range(3):
        time.sleep(0.01)
        assert watch.is_lost(0, driver.lease()) is False


def test_a_beat_that_has_only_just_stopped_leaves_it_open(watch: LeaseWatch) -> None:
    lease = elsewhere().lease()
    assert [watch.is_lost(0, lease), watch.is_lost(0, lease)] == [None, None]


@pytest.mark.usefixtures("short")
def test_a_beat_that_stays_the_same_is_lost_in_the_end(watch: LeaseWatch) -> None:
    lease = elsewhere().lease()
    assert [watch.is_lost(0, lease), watch.is_lost(0, lease)] == [None, True]


def test_the_beat_of_another_clock_is_never_compared_with_ours(watch: LeaseWatch) -> None:
    lease = {**elsewhere().lease(), "beat": time.time() - 1e6}
    assert [watch.is_lost(0, lease), watch.is_lost(0, lease)] == [None, None]


def test_the_time_starts_anew_with_every_beat(
    watch: LeaseWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = elsewhere().lease(), {**elsewhere().lease(), "beat": 0.0}
    clock = itertools.count(step=10)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    looks = [watch.is_lost(0, lease) for lease in [first] * 3 + [second] * 4]
    monkeypatch.undo()
    assert leases.LEASE_SECONDS == 30
    assert looks == [None, None, None, False, None, None, True]


def test_the_time_in_which_nobody_looked_does_not_count(
    watch: LeaseWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, clock = elsewhere().lease(), itertools.count(step=3600)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    looks = [watch.is_lost(0, lease) for _ in range(4)]
    monkeypatch.undo()
    assert leases.LEASE_SECONDS == 2 * leases.LOOK_SECONDS
    assert looks == [None, None, True, True]


@pytest.mark.usefixtures("short")
def test_each_trial_is_watched_on_its_own(watch: LeaseWatch) -> None:
    lease = elsewhere().lease()
    watch.is_lost(0, lease)
    assert watch.is_lost(1, lease) is None


@pytest.mark.usefixtures("short")
def test_a_trial_that_nobody_signs_is_lost_in_the_end(watch: LeaseWatch) -> None:
    assert [watch.is_lost(0, None), watch.is_lost(0, None)] == [None, True]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("lease", ["x", 3, [], {}, dict.fromkeys(SIGNED, "x")])
def test_what_another_program_has_signed_is_lost_in_the_end(
    watch: LeaseWatch, lease: object
) -> None:
    assert [watch.is_lost(0, lease), watch.is_lost(0, lease)] == [None, True]


def test_a_lease_says_what_it_is_known_by() -> None:
    assert Driver.this_process().lease().keys() == SIGNED


def test_a_trial_is_given_time_to_be_signed(watch: LeaseWatch) -> None:
    assert [watch.is_lost(0, None), watch.is_lost(0, None)] == [None, None]


@pytest.mark.usefixtures("short")
def test_a_trial_signed_at_last_is_alive(watch: LeaseWatch) -> None:
    watch.is_lost(0, None)
    assert watch.is_lost(0, elsewhere().lease()) is False


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)


@pytest.mark.usefixtures("quick_beats")
def test_it_beats_beside_the_block_until_its_end() -> None:
    threads: list[threading.Thread] = []
    third = threading.Event()

    def beat() -> bool:
        threads.append(threading.current_thread())
        if len(threads) == 3:
            third.set()
        return True

    with beating(beat):
        assert third.wait(60)
    beats = len(threads)
    assert threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)
    time.sleep(0.05)
    assert len(threads) == beats


@pytest.mark.usefixtures("quick_beats")
def test_a_beat_that_says_no_is_the_last() -> None:
    answers, beats = iter([True, False, True]), list[bool]()
    last = threading.Event()

    def beat() -> bool:
        beats.append(next(answers))
        if not beats[-1]:
            last.set()
        return beats[-1]

    with beating(beat):
        assert last.wait(60)
        time.sleep(0.1)
    assert beats == [True, False]


@pytest.mark.usefixtures("quick_beats")
def test_the_end_waits_for_a_beat_that_is_under_way() -> None:
    begun, done = threading.Event(), threading.Event()

    def beat() -> bool:
        begun.set()
        time.sleep(0.1)
        done.set()
        return True

    def break_down() -> None:
        with beating(beat):
            assert begun.wait(60)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        break_down()
    assert done.is_set()
