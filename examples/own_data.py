"""Grows a network on a table of one's own: scikit-learn's wine, written as a CSV with the names of the cultivars.

python examples/own_data.py
"""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from sklearn.datasets import load_wine


def write_table(path: Path) -> None:
    """Write one row for each wine: 13 numbers, and the cultivar as text."""
    wine = load_wine()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*wine.feature_names, "cultivar"])
        rows.writerows([*sample, wine.target_names[kind]] for sample, kind in zip(wine.data, wine.target, strict=True))


def main() -> int:
    """Train on the table as a command would, and return the exit status."""
    folder = Path(tempfile.mkdtemp())
    write_table(folder / "wine.csv")
    data = ["--task", "file", "--set", f"task.path={folder / 'wine.csv'}", "--set", "task.label=cultivar"]
    command = [str(Path(sys.executable).parent / "kasmina"), "run", *data, "--out", str(folder / "run")]
    return subprocess.call(command)


if __name__ == "__main__":
    raise SystemExit(main())
