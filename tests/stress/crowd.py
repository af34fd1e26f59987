"""Six drivers at once on one study, three of them killed: together they make exactly the budget.

python -m tests.stress.crowd --storage postgresql
"""

import argparse
import random
import time

from tests.stress.searches import Broken, new_search

DRIVERS, KILLED, BUDGET = 6, 3, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = ["sqlite", "journal", "postgresql", "mysql"]
    parser.add_argument("--storage", choices=kinds, default="postgresql")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    with new_search(chosen.storage, "--workers", "1") as (search, _):
        drivers = [search.start(BUDGET) for _ in range(DRIVERS)]
        while search.check_kept() < BUDGET // 4:
            time.sleep(0.5)
        for driver in chance.sample(drivers, KILLED):
            time.sleep(chance.uniform(0, 2))
            driver.kill()
        codes = sorted(driver.wait(600) for driver in drivers)
        if codes != [-9] * KILLED + [0] * (DRIVERS - KILLED):
            raise Broken(f"exit codes {codes}; they said:\n{search.said()[-3000:]}")
        print(f"{chosen.storage}: exit codes {codes}: {search.check_finished(BUDGET)}")


if __name__ == "__main__":
    main()
