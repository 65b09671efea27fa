"""Runs of some seconds that have together every stage of a seed, and every other thing that a checkpoint must hold."""

from __future__ import annotations

from attrs import frozen


@frozen
class Setup:
    """A run, and what may be found in it when it is killed."""

    name: str
    words: tuple[str, ...]
    """Of the command line."""
    finds: tuple[str, ...] = ()
    """States of growth that it is often in (`killing.FINDS`)."""


def setup(name: str, words: str, finds: str = "") -> Setup:
    return Setup(name, tuple(words.split()), tuple(finds.split()))


OFTEN = "--set checkpoint.seconds=0.05"
SETUPS = (
    setup("spirals, nothing said", "--epochs 160", "active"),
    setup(
        "candidates of two blueprints, random",
        f"--epochs 80 --controller random --set controller.probability=0.4 --blueprint bottleneck --blueprint glu"
        f" --set growth.candidates=2 --set growth.training=4 {OFTEN}",
        "candidates training",
    ),
    setup(
        "mixture, always, order_seed=3",
        f"--epochs 60 --controller always --blueprint mixture --set order_seed=3 --set growth.blending=5 {OFTEN}",
        "blending probation",
    ),
    setup(
        "dropout, schedule, seldom saved",
        "--epochs 90 --controller schedule --set controller.epochs=[20,35,50,60] --blueprint dropping"
        " --set checkpoint.epochs=7",
    ),
    setup(
        "small batches, fickle",
        f"--epochs 16 --controller fickle --set batch=2 --set growth.training=0.3 --set growth.probation=1 {OFTEN}",
        "pending watched fading",
    ),
    setup(
        "digits, cnn",
        "--epochs 14 --task digits --host cnn --controller fickle --blueprint conv --set growth.probation=1"
        " --set growth.blending=2 --set checkpoint.seconds=0.1",
        "fading blending watched",
    ),
    setup(
        "digits, transformer",
        "--epochs 8 --task digits --host transformer --controller always --set checkpoint.seconds=0.1",
        "training blending probation",
    ),
    setup(
        "own host, dropout in both, fickle",
        f"--epochs 60 --host nets:restless --site layers.0:layers.2 --site layers.2:layers.4 --controller fickle"
        f" --blueprint dropping --set growth.blending=4 --set growth.probation=2 {OFTEN}",
        "fading blending probation",
    ),
    setup(
        "regression from a CSV, heuristic",
        f"--epochs 120 --task file --set task.path=table.csv --set task.label=y --controller heuristic {OFTEN}",
    ),
)
