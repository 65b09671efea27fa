"""Random numbers of training: each epoch seeds the generators anew, so that it does not depend on earlier draws.

The shared generators (torch's, numpy's and Python's) are for the host, whose dropout may draw while it trains. Numbers
that loggers draw between epochs change nothing. Seeds have streams of their own (`kasmina.growth.rng`), and the order
of samples has a seed of its own.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(device: torch.device, seed: int, *where: int) -> None:
    """Seed all shared generators by a seed and a place in the run."""
    mixed = _mixed(seed, *where)
    torch.default_generator.manual_seed(mixed)  # torch.manual_seed takes 90 us to look for accelerators
    if device.type == "cuda":
        torch.cuda.manual_seed(mixed)
    if device.type == "mps":
        torch.mps.manual_seed(mixed)
    np.random.seed(mixed % 2**32)  # numpy takes 32 bits
    random.seed(mixed)


def order(rows: int, seed: int, epoch: int) -> Tensor:
    """Return the order of the samples in one epoch: indices (rows)."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(_mixed(seed, epoch)))


def states(device: torch.device) -> dict[str, Any]:
    """Return the states of the shared generators, as plain values and tensors."""
    words: Any
    kind, words, *rest = np.random.get_state(legacy=True)
    found = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, words.tolist(), *rest],
        "python": random.getstate(),
    }
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        found["mps"] = torch.mps.get_rng_state()
    return found


def set_states(found: dict[str, Any], device: torch.device) -> None:
    """Set the shared generators to states from `states`."""
    torch.set_rng_state(found["torch"])
    np.random.set_state(tuple(found["numpy"]))
    version, words, gauss = found["python"]
    random.setstate((version, tuple(words), gauss))
    if device.type == "cuda":
        torch.cuda.set_rng_state(found["cuda"], device)
    if device.type == "mps":
        torch.mps.set_rng_state(found["mps"])


def _mixed(*words: int) -> int:
    """Return one number below 2**63 mixed from several, so that neighbouring inputs have nothing in common."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
