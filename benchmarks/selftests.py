"""Run the grader's self-test on every assignment and keep the tables, which the book shows.

python benchmarks/selftests.py --seeds 50        writes benchmarks/results/selftest_<assignment>.json
"""

import argparse
import dataclasses
import json
from pathlib import Path

from autograder.authoring.selftest import selftest
from autograder.exercises.catalogue import assignment_named, available_assignments

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assignments", nargs="*", help="all of them by default")
    parser.add_argument("--seeds", type=int, default=50, help="draws of every check")
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in options.assignments or available_assignments():
        table = selftest(assignment_named(name), range(options.seeds))
        stored = {
            "assignment": name,
            "seeds": options.seeds,
            "holds": table.holds,
            "faults": list(table.faults),
            "rows": [dataclasses.asdict(row) for row in table.rows],
        }
        file = RESULTS / f"selftest_{name}.json"
        file.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        print(f"{file.name}: {'holds' if table.holds else 'DOES NOT HOLD'}")


if __name__ == "__main__":
    main()
