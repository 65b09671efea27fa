"""Prints a table of recipes in Markdown: ``python tests/benchmarks/growth/table.py spirals``."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from recipes import TABLES, Row
from train import Outcome, grow

MEMBERS = 30
HEAD = "| part | recipe | median [range] | 10th percentile | parameters | FLOPs |\n|---|---|---|---|---|---|"


def line(row: Row, outcome: Outcome, flops: int) -> str:
    found = np.array(outcome.accuracies)
    middle, tenth = np.median(found), np.quantile(found, 0.1)
    cells = [row.part, row.name, f"{middle:.4f} [{found.min():.4f}, {found.max():.4f}]", f"{tenth:.4f}"]
    return " | ".join(["", *cells, str(outcome.parameters), f"{outcome.flops / flops:.2f}", ""]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TABLES)
    parser.add_argument("--members", type=int, default=MEMBERS, help="initialisations of each recipe")
    parser.add_argument(
        "--validation", action="store_true", help="measure on a fifth of the training rows, not on test"
    )
    parser.add_argument("--only", default="", help="rows whose part or recipe has this in it, and the first row")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = TABLES[asked.task]
    chosen = [row for row in rows if row is rows[0] or asked.only in f"{row.part} {row.name}"]
    print(HEAD, flush=True)
    flops = 0
    for row in chosen:
        outcome = grow(row.recipe, asked.members, asked.validation)
        flops = flops or outcome.flops
        print(line(row, outcome, flops), flush=True)


if __name__ == "__main__":
    main()
