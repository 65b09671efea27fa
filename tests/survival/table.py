"""Kills runs at random moments, takes them up again, and tells whether each ended as if it had never been stopped.

nox -s survival -- --kills 50 --seed 0 --jobs 2
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from attrs import frozen
from killing import Kill, Place, Reference, at_once, differences, ended, finding, killed, saving, waited
from setups import SETUPS, Setup


@frozen
class Try:
    """One run: how often it was killed, and in what it differs from the one that was never stopped."""

    setup: Setup
    kills: tuple[Kill, ...]
    different: tuple[str, ...]


def tried(place: Place, setup: Setup, reference: Reference, name: str, draw: random.Random, most: int) -> Try:
    """A run that is killed, and again when it is resumed, at most so often."""
    kills = []
    process = place.begin(setup.words, name)
    for _ in range(draw.choice(range(1, most + 1))):
        aim = draw.choice(["time", "time", "saving", *setup.finds])
        due = {"time": at_once, "saving": saving}.get(aim) or finding(aim)
        step = int(max(reference.times) * draw.random() * (1.0 if aim == "time" else 0.6))
        if not waited(place, name, process, step, due):
            break
        kills.append(killed(place, name, process, reference))
        process = place.resume(name)
    try:
        ended(process)
    except AssertionError as error:
        return Try(setup, tuple(kills), (str(error),))
    return Try(setup, tuple(kills), tuple(differences(place.path / name, reference.path)))


def tries(place: Place, kills: int, seed: int, jobs: int) -> Iterator[Try]:
    """Until there have been so many kills."""
    with ThreadPoolExecutor(jobs) as pool:
        names = [f"reference-{number}" for number in range(len(SETUPS))]
        words = [setup.words for setup in SETUPS]
        references = list(pool.map(lambda pair: Reference.of(place, *pair), zip(words, names, strict=True)))
        numbers = count()
        while kills > 0:

            def one(number: int, most: int = min(3, kills)) -> Try:
                at = number % len(SETUPS)
                return tried(
                    place, SETUPS[at], references[at], f"run-{number}", random.Random(f"{seed} {number}"), most
                )

            for done in pool.map(one, [next(numbers) for _ in range(max(1, min(jobs, kills // 3)))]):
                kills -= len(done.kills)
                yield done


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    words = parser.parse_args()
    kills: list[Kill] = []
    failures = 0
    print(row("setup", "step", "epoch", "in the state resumed from", "during a save", "s lost", "equal"))
    print(row(*["---"] * 7), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for done in tries(Place.made(Path(folder)), words.kills, words.seed, words.jobs):
            failures += bool(done.different)
            equal = f"no: {', '.join(done.different)}" if done.different else "yes"
            for kill in done.kills:
                facts = str(kill.step), str(kill.epoch), kill.found, "yes" if kill.saving else "", f"{kill.lost:.2f}"
                print(row(done.setup.name, *facts, equal), flush=True)
            kills += done.kills
    lost = sorted(kill.lost for kill in kills)
    during = sum(kill.saving for kill in kills)
    print(f"\n{len(kills)} kills, {during} of them during a save; {failures} runs that did not end as they should")
    print(f"seconds lost: {sum(lost):.2f} in all, {lost[len(lost) // 2]:.3f} in the middle, {lost[-1]:.2f} at most")
    found = {word for kill in kills for word in kill.found.split()}
    print(f"killed with growth in: {', '.join(sorted(found - {'-'}))}")
    return min(1, failures)


if __name__ == "__main__":
    sys.exit(main())
