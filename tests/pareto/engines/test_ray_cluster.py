"""Ray for the time of a block: what it listens on, what it says, and what is left of it."""

import ipaddress
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pareto.engines import _ray_cluster

SECONDS = 180
"""After which something that does not happen is given up."""

# Processes that join one another need the same token.
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "for-these-tests"}


def drive(address: str | None) -> None:
    """The life of a driver: it says what it is connected to and does what it is told."""
    import ray

    def say(**what: Any) -> None:
        print(json.dumps(what), flush=True)

    def spin() -> None:  # keeps its worker, and the interpreter lock of it, busy
        while True:
            pass

    def die() -> None:
        os._exit(1)

    on_sigterm = signal.getsignal(signal.SIGTERM)
    told = ""
    while told != "end":
        try:
            # The inner one has nothing to do: the process is connected already.
            with _ray_cluster.connected(address, 2), _ray_cluster.connected("127.0.0.1:1", None):
                assert signal.getsignal(signal.SIGTERM) is on_sigterm
                [node] = ray.nodes()  # type: ignore[no-untyped-call]
                say(
                    address=ray.get_runtime_context().gcs_address,
                    folder=str(Path(node["ObjectStoreSocketName"]).parents[2]),
                )
                while (told := sys.stdin.readline().strip() or "end") != "end":
                    if told == "fail":
                        raise ValueError
                    if told == "spin":
                        ray.remote(spin).remote()
                    if told == "die":
                        with suppress(ray.exceptions.WorkerCrashedError):
                            ray.get(ray.remote(max_retries=0)(die).remote())
                    say(answer=ray.get(ray.remote(lambda: "done").remote()))
        except ValueError:
            say(ended="failed")
        except KeyboardInterrupt:
            told = "end"
            say(ended="interrupted")
        assert not ray.is_initialized()


@dataclass
class Driver:
    """A process that runs `drive`."""

    process: "subprocess.Popen[str]"
    address: str = ""
    folder: str = ""

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def learn(self) -> None:
        """Hear what it is connected to."""
        heard = self.hear()
        self.address, self.folder = heard["address"], heard["folder"]

    def works(self) -> bool:
        self.tell("work")
        return bool(self.hear() == {"answer": "done"})

    def others(self) -> list[psutil.Process]:
        """The processes that it has started, and those that these have started, and so on."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def drivers(*addresses: str | None, **environment: str) -> Iterator[list[Driver]]:
    """Drivers that start at the same time; connected when the block begins."""
    code = f"import sys; from {__name__} import drive; drive(*sys.argv[1:] or [None])"
    started = [
        Driver(
            subprocess.Popen(
                [sys.executable, "-c", code, *([address] if address else [])],
                cwd=Path(__file__).parents[3],
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # for a Ctrl-C of its own
            )
        )
        for address in addresses
    ]
    try:
        for driver in started:
            driver.learn()
        yield started
    finally:
        for driver in started:
            driver.process.kill()
            driver.process.communicate()


def assert_nothing_is_left(folder: str, processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=SECONDS)
    assert alive == []
    assert processes
    assert not os.path.exists(folder)
    assert [process for process in psutil.process_iter() if knows(process, folder)] == []


def knows(process: psutil.Process, folder: str) -> bool:
    try:
        return folder in "\n".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:  # it has just ended, or is somebody else's
        return False


def assert_on_loopback(processes: list[psutil.Process]) -> None:
    names = {process.pid: process.name() for process in processes}
    listening = set()
    for connection in psutil.net_connections("tcp"):
        if connection.pid in names and connection.laddr and connection.status == "LISTEN":
            listening.add(names[connection.pid])
            host = connection.laddr.ip.removeprefix("::ffff:")
            assert ipaddress.ip_address(host).is_loopback, (names[connection.pid], host)
    assert listening >= {"gcs_server", "raylet", "ray::IDLE"}


def test_a_ray_that_is_started_here_is_silent_and_private_and_leaves_nothing() -> None:
    with drivers(None, **TOKEN) as [driver]:
        driver.tell("die")  # which Ray would have a lot to say about
        assert driver.hear() == {"answer": "done"}
        others = driver.others()
        assert_on_loopback([psutil.Process(driver.process.pid), *others])
        # Whatever else runs here, workers get their share of the processor.
        assert {process.nice() for process in others} == {os.nice(0)}
        driver.tell("fail")
        assert driver.hear() == {"ended": "failed"}
        assert_nothing_is_left(driver.folder, others)

        driver.learn()  # it starts another one
        others = driver.others()
        with drivers(driver.address, **TOKEN) as [guest]:
            assert guest.folder == driver.folder
            assert guest.works()
            guest.tell("end")
            assert guest.process.communicate() == ("", "")
        problem, remedy = refusal(driver.address, **TOKEN | {"RAY_AUTH_TOKEN": "of-another"})
        assert problem == f"Ray ({driver.address}) cannot be used: it asks for another token"
        assert "RAY_AUTH_TOKEN" in remedy
        assert driver.works()
        driver.tell("end")
        assert driver.process.communicate() == ("", "")
        assert driver.process.returncode == 0
        assert_nothing_is_left(driver.folder, others)


def test_nothing_is_left_of_a_ray_whose_driver_is_killed_or_interrupted(tmp_path: Path) -> None:
    with drivers(None, None, HOME=str(tmp_path)) as [killed, interrupted]:
        assert killed.folder != interrupted.folder
        killed.tell("spin")
        assert killed.hear() == {"answer": "done"}
        others = killed.others()
        killed.process.kill()
        assert_nothing_is_left(killed.folder, others)

        assert interrupted.works()  # what happens to the one is nothing to the other
        others = interrupted.others()
        os.killpg(interrupted.process.pid, signal.SIGINT)  # as a terminal does
        assert interrupted.process.communicate() == ('{"ended": "interrupted"}\n', "")
        assert_nothing_is_left(interrupted.folder, others)
    assert list(tmp_path.iterdir()) == []


def refusal(address: str | None, **environment: str) -> tuple[str, str]:
    """What a process is told that cannot connect: problem and remedy, and nothing else."""
    code = """if True:
        import sys
        from pareto.engines import _ray_cluster
        from pareto.errors import EngineError
        try:
            with _ray_cluster.connected(*sys.argv[1:] or [None], None):
                pass
        except EngineError as error:
            print(error.problem, error.remedy, sep="\\n")
    """
    ended = subprocess.run(
        [sys.executable, "-c", code, *([address] if address else [])],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    assert ended.stderr == ""
    problem, remedy = ended.stdout.splitlines()
    return problem, remedy


def test_a_cluster_that_does_not_answer_is_given_up_with_a_reason_and_a_remedy() -> None:
    problem, remedy = refusal("127.0.0.1:1")
    assert problem.startswith("Ray (127.0.0.1:1) cannot be used: ")
    assert "--ray-address" in remedy


def test_rays_folder_has_a_short_name_where_that_for_temporary_files_has_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 25)  # no name of a socket has room for it
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    with _ray_cluster._swept_folder() as folder:
        assert Path(folder).is_dir()
        assert Path(folder).parent == Path(_ray_cluster.SHORT_TMPDIR)
    assert not Path(folder).exists()
    assert list(long.iterdir()) == []


def test_a_ray_that_cannot_be_started_here_is_given_up_with_a_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    problem, remedy = refusal(None, RAY_OVERRIDE_RESOURCES='{"CPU": -1}', TMPDIR=str(folder))
    assert problem.startswith("Ray (local) cannot be used: ")
    assert "--engine local" in remedy
    assert "--ray-address" not in remedy
    assert list(folder.iterdir()) == []
