"""What checkpoints cost: bytes against those of weights and optimiser state, and time against a run without them."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from kasmina.run.checkpoints import writer
from kasmina.run.checkpoints.callback import CheckpointCallback
from kasmina.run.checkpoints.contents import state_of
from kasmina.run.checkpoints.format import path_of, write_checkpoint
from kasmina.run.checkpoints.packing import pack
from kasmina.run.experiment import run_experiment
from kasmina.run.options.config import configure

BYTES, SHARE, ROUNDS = 1.2, 0.03, 5
WIDTHS = {"vanishing": (3, 1), "small": (10, 2), "middle": (100, 2), "large": (1000, 2), "huge": (3160, 2)}
"""Hidden features and depth: from 17 parameters or so to 1e7."""


def due(run: Any) -> int:
    """Bytes of weights and optimiser state, seeds' included, each tensor once."""
    state = [*run.host.state_dict().values()]
    state += [value for seed in run.growth.live_seeds for value in seed.body.state_dict().values()]
    state += [value for entry in run.optimizer.state.values() for value in entry.values()]
    tensors = {value.data_ptr(): value for value in state if isinstance(value, torch.Tensor)}
    return sum(value.numel() * value.element_size() for value in tensors.values())


@pytest.mark.parametrize("size", WIDTHS)
def test_bytes_of_a_checkpoint(tmp_path: Path, size: str) -> None:
    hidden, depth = WIDTHS[size]
    found: dict[str, tuple[int, int]] = {}
    on_epoch = CheckpointCallback.on_epoch

    def measuring(keeper: CheckpointCallback, observation: Any) -> None:
        on_epoch(keeper, observation)
        stages = "+".join(seed.stage.value for seed in observation.seeds if seed.stage != "culled") or "no seed"
        path = path_of(tmp_path / "sizes", 1)
        write_checkpoint(path, pack(state_of(keeper.run)), keeper.good.facts)
        written = sum(file.stat().st_size for file in path.parent.iterdir())
        found.setdefault(stages, (written, due(keeper.run)))

    options = {"controller": "always", "loggers": {"rich": False}, "device": "cpu"}
    sets = [f"host.hidden={hidden}", f"host.depth={depth}", "controller.seeds=2", "checkpoint.epochs=1000000"]
    few = ["batch=600"] if hidden > 500 else []
    with mock.patch.object(CheckpointCallback, "on_epoch", measuring):
        _, summary = run_experiment(configure(None, options, [*sets, *few], 20), tmp_path / "run", lambda warning: None)
    for stages, (written, least) in found.items():
        print(f"{summary['parameters']['start']:9} parameters, {stages:22} {written:10} / {least:10} bytes")
        print(f"{'':34} = {written / least:.3f}")
    assert len(found) > 3
    if summary["parameters"]["start"] >= 10**4:  # of smaller ones the names take more than the numbers
        assert max(written / least for written, least in found.values()) < BYTES


def test_seconds_of_checkpoints_every_epoch(tmp_path: Path) -> None:
    """The default run, with and without, in turns."""
    ways = {"each epoch": ["checkpoint.epochs=1"], "none": ["checkpoint.epochs=1000000000", "checkpoint.seconds=1e9"]}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    written: dict[str, int] = dict.fromkeys(ways, 0)
    write = writer.write_checkpoint
    for turn in range(ROUNDS + 1):
        for way, sets in list(ways.items())[:: 1 if turn % 2 else -1]:
            count = 0

            def counting(*arguments: Any) -> None:
                nonlocal count
                count += 1
                write(*arguments)

            config = configure(None, {"loggers": {"rich": False}, "device": "cpu"}, sets)
            with mock.patch.object(writer, "write_checkpoint", counting):
                begin = time.perf_counter()
                run_experiment(config, tmp_path / f"{way} {turn}", lambda warning: None)
            if turn:
                seconds[way].append(time.perf_counter() - begin)
            written[way] = count
    for way, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{way:12} {middle:7.3f} s ({min(taken):.3f} to {max(taken):.3f}), {written[way]} checkpoints written")
    share = statistics.median(a / b for a, b in zip(seconds["each epoch"], seconds["none"], strict=True)) - 1
    print(f"checkpoints cost {100 * share:.1f} % (median of {ROUNDS} pairs)")
    assert share < SHARE
