"""examples/own_loop.py: a plain torch program and six lines at most."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_loop.py"
MARK = re.compile(r"  # (\d)$")


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_six_lines_make_a_plain_program_grow() -> None:
    lines = EXAMPLE.read_text().splitlines()
    added = [line for line in lines if MARK.search(line)]
    assert len(added) <= 6
    plain = [line for line in lines if line not in added]
    plain.pop()  # the sentence about what grew
    assert not re.search("kasmina|growth", "\n".join(plain[1:])), "a line is not marked"
    before = float(run("\n".join([*plain, "print(float(accuracy))"])))
    parameters, seeds, after = re.findall(r"[\d.]+", run("\n".join(lines)))
    assert int(seeds) >= 1 and int(parameters) > 310
    assert float(after) > before
