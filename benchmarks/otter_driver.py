"""Runs inside otter's own environment: grades notebooks as fast as otter can without containers.

    python otter_driver.py AUTOGRADER_ZIP SCORES_JSON NOTEBOOK…

`otter run` grades one notebook and starts Python and its imports each time. otter's own `grade_submission` does the
same work in this process; here it runs in as many processes as there are processors.
"""

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def grade(autograder: str, notebook: str) -> tuple[float | None, str]:
    """The points of one notebook; None with the reason where otter gives none."""
    from otter.api import grade_submission

    try:
        results = grade_submission(notebook, autograder, quiet=True)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"[:200]
    if results.catastrophic_error:
        return None, f"{type(results.catastrophic_error).__name__}"
    return float(results.total), ""


def main() -> None:
    autograder, scores, *notebooks = sys.argv[1:]
    paths = [os.path.abspath(notebook) for notebook in notebooks]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(paths))) as pool:
        found = list(pool.map(grade, [os.path.abspath(autograder)] * len(paths), paths))
    by_student = {Path(path).stem: result for path, result in zip(paths, found)}
    Path(scores).write_text(json.dumps(by_student))


if __name__ == "__main__":
    main()
