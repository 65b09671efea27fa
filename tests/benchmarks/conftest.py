"""How two programs are compared on a noisy machine: in turn, many short rounds, and the ratio round by round."""

import statistics
import time
from collections.abc import Callable

import pytest
import torch

torch.set_num_threads(1)


def ratios(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> list[float]:
    """Times `ours` against `theirs`, each first in every other round; the ratio of each round."""
    found = []
    for number in range(rounds + 3):
        pair = {}
        for run in (ours, theirs) if number % 2 else (theirs, ours):
            began = time.perf_counter()
            run()
            pair[run] = time.perf_counter() - began
        found.append(pair[ours] / pair[theirs])
    return found[3:]


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[..., float]:
    """Compares two programs, prints median and range, and gives the median."""

    def measure(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 101) -> float:
        found = sorted(ratios(ours, theirs, rounds))
        median, tenth = statistics.median(found), len(found) // 10
        low, high, least, most = found[tenth], found[-tenth - 1], found[0], found[-1]
        within = f"8 in 10 rounds within [{low:.3f}, {high:.3f}], all [{least:.3f}, {most:.3f}]"
        print(f"\n{request.node.name}: ratio {median:.3f}, {within}")
        return median

    return measure
