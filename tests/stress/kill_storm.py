"""Kill the driver of a search, or its workers, at random moments, again and again.

    python -m tests.stress.kill_storm --storage postgresql --engine ray --victim driver

Must hold: the budget is met exactly, no trial is left running, no complete trial is lost or
repeated, every failure has a reason, and no process is left.
"""

import argparse
import random
import subprocess
import sys
import time

import psutil

from tests.stress.searches import Broken, Search, left_behind, new_search, workers_of

EARLY_SECONDS = (0.5, 10.0)
"""When after its start every other driver is killed: while it prepares, mostly."""

LATE_SECONDS = (0.0, 4.0)
"""When after its first trial the others are killed."""

STEP = 16
"""By how much the budget grows with each driver, so that there is always something to do."""


def storm_on_drivers(search: Search, kills: int, chance: random.Random) -> int:
    """Kill so many drivers; returns the budget of the last."""
    budget = STEP
    killed = 0
    while killed < kills:
        before = search.check_kept()
        driver = search.start(budget)
        seconds = chance.uniform(*EARLY_SECONDS)
        if killed % 2:
            while driver.poll() is None and search.check_kept() == before:
                time.sleep(0.2)
            seconds = chance.uniform(*LATE_SECONDS)
        try:
            driver.wait(seconds)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
            killed += 1
            print(f"killed {killed} of {kills}; {search.check_kept()} complete", flush=True)
        else:
            if driver.returncode != 0:
                raise Broken(f"exit code {driver.returncode}: {search.said()[-2000:]}")
            search.check_finished(budget)
            budget += STEP
    return budget


def storm_on_workers(search: Search, kills: int, chance: random.Random) -> int:
    """Kill so many workers of drivers that live; returns the budget of the last."""
    budget = 4 * STEP
    killed = 0
    driver = search.start(budget)
    seen = 0
    while killed < kills:
        # Whoever kills all workers while they start gets what a lack of memory gets: a clear end.
        while driver.poll() is None and killed and search.check_kept() == seen:
            time.sleep(0.1)
        time.sleep(chance.uniform(0.0, 2.0))
        if driver.poll() is not None:
            if driver.returncode != 0:
                raise Broken(f"exit code {driver.returncode}: {search.said()[-2000:]}")
            search.check_finished(budget)
            budget += 4 * STEP
            driver = search.start(budget)
            seen = 0
            continue
        workers = workers_of(driver)
        if not workers:
            continue
        try:
            chance.choice(workers).kill()
        except psutil.NoSuchProcess:
            continue
        killed += 1
        seen = search.check_kept()
        print(f"killed {killed} of {kills}; {seen} complete", flush=True)
    if driver.wait(600) != 0:
        raise Broken(f"exit code {driver.returncode}: {search.said()[-2000:]}")
    return budget


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ["sqlite", "journal", "postgresql", "mysql"]
    parser.add_argument("--storage", choices=kinds, default="sqlite")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--victim", choices=["driver", "worker"], default="driver")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    began = time.monotonic()
    options = ("--engine", chosen.engine, "--workers", "2")
    with new_search(chosen.storage, *options) as (search, _):
        if chosen.victim == "driver":
            budget = storm_on_drivers(search, chosen.kills, chance)
        else:
            budget = storm_on_workers(search, chosen.kills, chance)
        search.finish(budget)
        states = search.check_finished(budget)
        time.sleep(5)
        left = left_behind(search)
    print(
        f"{chosen.storage}, {chosen.engine}: {chosen.kills} kills of a {chosen.victim},"
        f" budget {budget}: {states}; {len(left)} processes left;"
        f" {time.monotonic() - began:.0f} s"
    )
    if left:
        print(*left, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
