"""Fuzzes what reads files of strangers, and prints what came of it: `python tests/fuzz/fuzz.py [--seconds 30]`.

Each target runs under each engine in a process of its own. Every find is kept in the folder --out as an input
(TARGET-N.bin) and its traceback (TARGET-N.txt); `--replay TARGET FILE` shows one input again. Exit status 1 if there
was any find.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RUNS = [(target, engine) for target in ("config", "files", "plugins", "runs") for engine in ("hypothesis", "atheris")]
TOTAL = 660.0
"""Seconds, all together."""

GRACE = 90
"""Seconds that a process may take beyond its time, to begin and to end; later it hangs where no alarm reaches it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help=f"for each target under each engine; default: {TOTAL:g} in all")
    parser.add_argument("--target", help="this one alone")
    parser.add_argument("--engine", help="this one alone")
    parser.add_argument("--out", type=Path, default=None, help="where finds are kept")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="one input again")
    said = parser.parse_args()
    if said.replay:
        return replay(*said.replay)
    out = said.out or Path(tempfile.mkdtemp(prefix="kasmina-finds-"))
    out.mkdir(parents=True, exist_ok=True)
    runs = [(t, e) for t, e in RUNS if said.target in (None, t) and said.engine in (None, e)]
    seconds = said.seconds or TOTAL / len(runs)
    with ThreadPoolExecutor(said.jobs) as pool:
        results = list(pool.map(lambda run: conduct(*run, seconds, out), runs))
    print(table(results))
    for result in results:
        keep(result, out)
    return 1 if any(result["finds"] for result in results) else 0


def conduct(target: str, engine: str, seconds: float, out: Path) -> dict[str, Any]:
    """One target under one engine; what a process leaves that dies is a find too."""
    file = out / f"{target}-{engine}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "child.py"), target, engine, str(seconds), str(file)]
    with (out / f"{target}-{engine}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        )
        try:
            status = process.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = None
    empty: dict[str, Any] = {"inputs": 0, "accepted": 0, "refusals": [], "finds": [], "seconds": 0.0}
    result = json.loads(file.read_text()) if file.exists() else empty
    if status != 0:
        last = file.with_suffix(".input")
        result["finds"].append(
            {
                "kind": "hang" if status is None else "traceback",
                "key": "no end" if status is None else f"the process ended with {status}",
                "story": Path(log.name).read_text(errors="replace")[-4000:],
                "input": last.read_bytes().hex() if last.exists() else "",
            }
        )
    return {"target": target, "engine": engine} | result


def table(results: list[dict[str, Any]]) -> str:
    """What was tried and what came of it, a line each and one for all."""
    head = ["target", "engine", "inputs", "accepted", "refusals", "tracebacks", "hangs", "seconds"]
    rows = [[r["target"], r["engine"], *_numbers(r)] for r in results]
    total = ["all", "", *(sum(column) for column in zip(*map(_numbers, results), strict=True))]
    cells = [head, *([str(cell) for cell in row] for row in [*rows, total])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def _numbers(result: dict[str, Any]) -> list[int]:
    kinds = [find["kind"] for find in result["finds"]]
    found = [kinds.count("traceback"), kinds.count("hang")]
    return [result["inputs"], result["accepted"], len(result["refusals"]), *found, round(result["seconds"])]


def keep(result: dict[str, Any], out: Path) -> None:
    for number, find in enumerate(result["finds"]):
        name = out / f"{result['target']}-{result['engine']}-{number}"
        name.with_suffix(".bin").write_bytes(bytes.fromhex(find["input"]))
        name.with_suffix(".txt").write_text(f"{find['key']}\n\n{find['story']}", errors="replace")
        print(f"\n{name}.bin: {find['kind']}, {find['key']}")


def replay(target: str, file: str) -> int:
    """Shows what comes of one kept input."""
    data = Path(file).read_bytes()
    sys.path.insert(0, str(HERE))
    from child import begun
    from watch import Find, confine, outcome

    module, folder = begun(target)
    confine(folder)
    came = outcome(lambda data: module.check(data, folder), data)
    print(came.story if isinstance(came, Find) else came or "accepted")
    return int(isinstance(came, Find))


if __name__ == "__main__":
    sys.exit(main())
