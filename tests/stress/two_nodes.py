"""A Ray cluster of two nodes in network namespaces of their own; one dies in mid-search.

    python -m tests.stress.two_nodes          # as root

Must hold: trials run on both nodes, the study completes after one of them was killed, and its
trials were run again on the other.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pareto.program import PROGRAM
from tests.stress.searches import Broken, Search

RAY = Path(sys.executable).parent / "ray"
ADDRESSES = {"node-a": "10.97.53.1", "node-b": "10.97.53.2"}
PORT = 6399
BUDGET = 60


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)


@contextmanager
def two_machines() -> Iterator[None]:
    """Two network namespaces, connected by a cable."""
    try:
        for name in ADDRESSES:
            run(f"ip netns add {name}")
            run(f"ip netns exec {name} ip link set lo up")
        run("ip link add cable-a netns node-a type veth peer name cable-b netns node-b")
        for name, address in ADDRESSES.items():
            cable = f"cable-{name[-1]}"
            run(f"ip netns exec {name} ip addr add {address}/24 dev {cable}")
            run(f"ip netns exec {name} ip link set {cable} up")
        yield
    finally:
        for name in ADDRESSES:
            kill_everything_on(name)
            subprocess.run(["ip", "netns", "del", name], check=False)


def on(machine: str, folder: Path, *command: str | Path) -> list[str | Path]:
    """A command as it runs on one of the machines, under its name."""
    private = f"hostname {machine}"
    if machine == "node-b":  # machines share no temporary folder
        private += f"; mount -t tmpfs tmpfs {folder}"
    inside = ["unshare", "--uts", "--mount", "sh", "-c", f'{private}; exec "$@"', "sh", *command]
    return ["ip", "netns", "exec", machine, *inside]


def kill_everything_on(machine: str) -> None:
    listed = subprocess.run(["ip", "netns", "pids", machine], capture_output=True, text=True)
    for pid in listed.stdout.split():
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", pid], check=False)


def start_ray(machine: str, folder: Path) -> None:
    words = ["start", "--num-cpus=1", "--disable-usage-stats", f"--temp-dir={folder / machine}"]
    words.append(f"--node-ip-address={ADDRESSES[machine]}")
    if machine == "node-a":
        words += ["--head", f"--port={PORT}", "--include-dashboard=false"]
    else:
        words = [word for word in words if "temp-dir" not in word]
        words.append(f"--address={ADDRESSES['node-a']}:{PORT}")
    with (folder / "ray").open("ab") as said:
        started = subprocess.run(on(machine, folder, RAY, *words), stdout=said, stderr=said)
    if started.returncode != 0:
        raise Broken((folder / "ray").read_text())


def hosts(search: Search) -> Counter[str]:
    """How many complete trials each machine has run."""
    runs = [t.user_attrs["run"] for t in search.trials() if t.state.name == "COMPLETE"]
    return Counter(run["host"] for run in runs)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))
    os.environ["TMPDIR"] = str(folder)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
    try:
        with two_machines():
            start_ray("node-a", folder)
            start_ray("node-b", folder)
            search = Search(folder, f"sqlite:///{folder}/studies.db")
            words = ["--study", "tiny.toml", "--budget", str(BUDGET), "--storage", search.url]
            words += ["--engine", "ray", "--ray-address", f"{ADDRESSES['node-a']}:{PORT}"]
            with (folder / "said").open("wb") as said:
                driver = subprocess.Popen(
                    on("node-a", folder, PROGRAM, *words), cwd=folder, stdout=said, stderr=said
                )
            while min(hosts(search).get(name, 0) for name in ADDRESSES) < 3:
                if driver.poll() is not None:
                    raise Broken(f"exit code {driver.returncode}: {search.said()[-3000:]}")
                time.sleep(0.5)
            before = hosts(search)
            kill_everything_on("node-b")
            if driver.wait(300) != 0:
                raise Broken(f"exit code {driver.returncode}: {search.said()[-3000:]}")
            states = search.check_finished(BUDGET)
            print(f"complete before the death of node-b: {dict(before)}; at the end {states},")
            print(f"complete by node: {dict(hosts(search))}; reasons of failures:")
            for trial in search.trials():
                if trial.state.name == "FAIL":
                    print(" ", trial.number, trial.user_attrs["reason"])
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
