"""Ours beside the peers', measured in one go: `make bench`, or `python benchmarks/peers [topic ...]`.

The peers live in an environment of their own, .venv-peers, made from benchmarks/peers-requirements.txt; the
course's own environment is never touched. Each figure comes from a fresh process. Every topic writes what it
measured to `benchmarks/results/<topic>.json`. Exits with 1 where a claim does not hold.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from measuring import Claim, Row, Run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE.parent / "results"
REQUIREMENTS = HERE.parent / "peers-requirements.txt"
PEERS = ROOT / ".venv-peers"
PYTHON = {"course": sys.executable, "peers": str(PEERS / "bin" / "python")}
TOPICS = ("ising", "samplers", "rbm", "log_z", "starts", "memory")


def install_peers() -> None:
    """The peers' environment, made anew where the list has changed; torch's CPU build before all others."""
    done = PEERS / "installed-requirements.txt"
    if done.exists() and done.read_text() == REQUIREMENTS.read_text():
        return
    print("Installing the peers into .venv-peers (a few minutes the first time)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS)], check=True)
    pip = [PYTHON["peers"], "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "torch==2.13.0"], check=True)
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
    done.write_text(REQUIREMENTS.read_text())


def measure(topic: str, run: Run) -> Row:
    """One process; a contender that fails ends the benchmark with what it said."""
    command = [PYTHON[run.environment], str(HERE / f"{topic}.py"), run.contender, json.dumps(run.case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{run.contender} failed on {run.case}:\n{done.stderr[-2000:]}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return {"contender": run.contender, **run.case, **found}


def described(row: Row) -> str:
    names = {"contender", "value", "rounds", "version", "seconds", "refused", "log_z", "product_rounds"}
    case = ", ".join(
        f"{value}" if key == "what" else f"{key} {value}" for key, value in row.items() if key not in names
    )
    value = "refused: " + row["refused"] if row["value"] is None else f"{row['value']:.4g}"
    return f"{row['contender']} ({row['version']}), {case}: {value}"


def compare(topic: str) -> list[Claim]:
    """Measure all runs of a topic, and print and keep what came out."""
    module = importlib.import_module(topic)
    print(f"\n{module.TITLE}, {module.UNIT}", flush=True)
    start, rows = time.perf_counter(), []
    for number, run in enumerate(module.RUNS, 1):
        rows.append(measure(topic, run))
        print(f"  [{number}/{len(module.RUNS)}] {described(rows[-1])}", flush=True)
    claims: list[Claim] = module.claims(rows)
    for claim in claims:
        asked = f"at {'least' if claim.least else 'most'} {claim.bound:g}"
        print(f"  {'holds' if claim.holds else 'FAILS'}: {claim.claim}: {claim.figure:.3g} ({asked})")
    result = {
        "title": module.TITLE,
        "unit": module.UNIT,
        "machine": machine(),
        "seconds": round(time.perf_counter() - start),
        "rows": rows,
        "claims": [claim._asdict() | {"holds": claim.holds} for claim in claims],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{topic}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return claims


def machine() -> Row:
    models = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")]
    processor = models[0].split(":")[1].strip() if models else platform.processor()
    return {"processor": processor, "cores": os.cpu_count(), "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"of {', '.join(TOPICS)}; all by default")
    topics = parser.parse_args().topics or TOPICS
    if unknown := set(topics) - set(TOPICS):
        parser.error(f"no topic {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    install_peers()
    claims = [claim for topic in topics for claim in compare(topic)]
    print(f"\n{sum(claim.holds for claim in claims)} of {len(claims)} claims hold")
    sys.exit(not all(claim.holds for claim in claims))


if __name__ == "__main__":
    main()
