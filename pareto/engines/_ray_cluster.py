"""Ray for the time of a block: a cluster that is running, or a Ray started on this machine."""

import ipaddress
import logging
import math
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil

from pareto.errors import EngineError
from pareto.trials.stop_request import STOPS, stops_blocked

# Ray and Tune read these when they are imported, so this module comes first. What the user has set
# stays as it is.
for _name, _value in {
    # Whatever the name says, on every system: 0 makes a Ray that is started here live on 127.0.0.1
    # alone. Otherwise Ray replaces that address by the machine's own and listens on the network.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Workers of a Ray that is started here get as much of the processor as all other processes.
    # By itself Ray lets others go first, by 15: trials hardly get on while these have work to do.
    "RAY_worker_niceness": "0",
    # Nothing is sent to the makers of Ray.
    "RAY_USAGE_STATS_ENABLED": "0",
    # A worker's death is reported as a lost trial; Ray would tell it on our stdout as well.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    # Under `uv run`, Ray would copy the whole working folder and build an environment from it.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Processes of Ray change their titles; their environment, which marks them, stays readable.
    "SPT_NOENV": "1",
    # Relative paths mean the same in trials as in the search.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # The study keeps what trials report: no files of Tune's, and no table on the terminal.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    # What Ctrl-C means is for the search to say.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}.items():
    os.environ.setdefault(_name, _value)

# What trials need of a study, up to some hundred MB, lies there once. Memory is taken as it fills;
# what does not fit, also into a small /dev/shm, goes to files in the temporary folder.
OBJECT_STORE_BYTES = 2**30
JOIN_SECONDS = 60
LONGEST_TMPDIR, SHORT_TMPDIR = 20, "/tmp"
# Ray's own limits, one after the other and over again, add up to a quarter of an hour.
IMPATIENCE = {
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_gcs_rpc_server_connect_timeout_s": "3",
    "RAY_py_gcs_connect_timeout_s": "3",
}
MARK = "PARETO_SEARCH_RAY_FOLDER"
TOKEN = "RAY_AUTH_TOKEN"
_TOKEN = secrets.token_hex(32)  # one for the process, which Ray remembers
THIS_FILE = [sys.executable, "-P", __file__]
LOCAL = "local"
"""The address by which Ray is asked to start here."""
JOIN_REMEDY = "check --ray-address, or use --engine local"
TOKEN_REMEDY = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the token of the cluster"
START_REMEDY = "use --engine local, or fewer --workers"


@contextmanager
def connected(address: str | None, cpus: float | None) -> Iterator[str]:
    """A connection of this process to Ray. One that it already has is used and left as it is.

    A Ray that is started here is gone afterwards, with all its processes and files, however this
    process ends.

    Yields:
        A temporary folder, which is gone afterwards too.

    Args:
        address: of a running cluster, `auto` for this machine's; None starts a Ray here.
        cpus: how many a Ray that is started here has to give away; None: as many as there are.

    Raises:
        EngineError: there is no such cluster, or no Ray could be started.
    """
    import ray

    with ExitStack() as stack:
        folder = stack.enter_context(_swept_folder())
        if not ray.is_initialized():
            if address is None:
                stack.enter_context(_own_token())
                stack.callback(ray.shutdown)
                _start(folder, cpus)
            else:
                _rehearse(address)
                stack.callback(ray.shutdown)
                _init(address)
        yield folder


@contextmanager
def _own_token() -> Iterator[None]:
    """Let a Ray that is started here ask for a token of this process's own.

    Ray would make one, keep it in the user's home, and ask for it from then on wherever a Ray is
    started.
    """
    if TOKEN in os.environ:
        yield
        return
    os.environ[TOKEN] = _TOKEN
    try:
        yield
    finally:
        del os.environ[TOKEN]


def _start(folder: str, cpus: float | None) -> None:
    os.environ[MARK] = folder
    try:
        # Not Ctrl-C, which Ray blocks itself: it may be meant for a start that takes too long.
        with stops_blocked([number for number in STOPS if number != signal.SIGINT]):
            context = _init(
                LOCAL,
                num_cpus=None if cpus is None else math.ceil(cpus),  # Ray wants it whole
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=folder,
            )
    finally:
        del os.environ[MARK]  # what else is started from here is not Ray's
    host = context.address_info["node_ip_address"]
    if not ipaddress.ip_address(host).is_loopback:
        raise EngineError(
            f"Ray was imported before pareto-search and would listen on the network, at {host}",
            "set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before Ray is imported",
        )


def _init(address: str, **how: Any) -> Any:
    """`ray.init`, but silent and with one kind of error."""
    import ray

    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        return ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **how)
    except Exception as error:  # of any type, down to a bare Exception
        said = str(error.__cause__ or "").splitlines()[-1:] or str(error).split()
        remedy = START_REMEDY if address == LOCAL else JOIN_REMEDY
        if "InvalidAuthToken" in " ".join(said):
            said, remedy = ["it asks for another token"], TOKEN_REMEDY
        raise EngineError(f"Ray ({address}) cannot be used: {' '.join(said)}", remedy) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # where Ray has put its own


def _rehearse(address: str) -> None:
    """Join the cluster in a process of its own first, which can be given up.

    Where no Ray answers, Ray tries for long, writes to stderr, and may end the process.
    """
    command, environment = [*THIS_FILE, address], os.environ | IMPATIENCE
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=JOIN_SECONDS)
    except subprocess.TimeoutExpired:
        problem = f"Ray ({address}) does not answer within {JOIN_SECONDS} s"
    else:
        if ended.returncode == 0:
            return
        if ended.stdout:
            raise EngineError(*ended.stdout.decode().splitlines())
        *_, problem = [f"Ray ({address}) kills who joins", *ended.stderr.decode().splitlines()]
    raise EngineError(problem, JOIN_REMEDY)


@contextmanager
def _swept_folder() -> Iterator[str]:
    """A temporary folder, of which nothing is left: neither files nor processes marked with it.

    Most processes of Ray end with their driver, but some only minutes later. So there is a sweeper:
    a process in a session of its own, which outlives this one however it ends.
    """
    pipe = subprocess.PIPE
    with stops_blocked():  # it is the last to leave
        sweeper = subprocess.Popen(THIS_FILE, stdin=pipe, stdout=pipe, start_new_session=True)
    assert sweeper.stdout is not None
    try:
        folder = os.fsdecode(sweeper.stdout.readline().strip())
        if not folder:
            raise EngineError("no temporary folder can be made for Ray", "check TMPDIR")
        yield folder
    finally:
        sweeper.communicate()  # closes the pipe to it, and waits


def _sweep() -> None:
    """The life of the sweeper."""
    # Its name has to be short, for sockets lie in it: many a system's own TMPDIR is not.
    is_long = len(os.fsencode(tempfile.gettempdir())) > LONGEST_TMPDIR
    parent = SHORT_TMPDIR if is_long and os.access(SHORT_TMPDIR, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="pareto-ray-", dir=parent) as folder:
        print(folder, flush=True)
        sys.stdin.read()  # until the driver is done, or dead
        while left := [process for process in psutil.process_iter() if _belongs(process, folder)]:
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        return process.environ().get(MARK) == folder
    except psutil.Error:  # it has just ended, or is somebody else's
        return False


if __name__ == "__main__":
    if sys.argv[1:]:
        try:
            _init(sys.argv[1])
        except EngineError as error:
            print(error.problem, error.remedy, sep="\n")
            sys.exit(1)
    else:
        _sweep()
