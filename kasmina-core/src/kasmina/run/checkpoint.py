"""The state of a host and its seeds on disk: safetensors for tensors, JSON for everything else, never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, frozen
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from kasmina import files
from kasmina.errors import UsageError
from kasmina.growth.manager import Manager
from kasmina.run.data import Splits
from kasmina.run.folder import write

FORMAT = 1


@frozen(eq=False)
class Checkpoint:
    """What was read back: the seeds' records, in the order of their germination, and all tensors by name."""

    seeds: list[dict[str, Any]]
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below `prefix`, without it."""
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


def write_checkpoint(path: Path, host: nn.Module, manager: Manager, splits: Splits) -> None:
    """Writes `path` (JSON), and beside it the tensors: of the host, of each ``seed.<id>``, and of the scalers."""
    tensors = {f"host.{name}": tensor for name, tensor in host.state_dict().items()}
    for seed in manager.seeds.values():
        tensors |= {f"seed.{seed.id}.{name}": tensor for name, tensor in seed.body.state_dict().items()}
    tensors |= splits.scalers()
    # Clones, because safetensors refuses tensors that share memory, as tied weights do, or that lie in another order.
    plain = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    write(path.with_suffix(".safetensors"), save(plain))
    record = {"format": FORMAT, "seeds": [asdict(seed.state) for seed in manager.seeds.values()]}
    write(path, (json.dumps(record, indent=2) + "\n").encode())


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises:
        UsageError: it is not there, damaged, or of another format.
    """
    try:
        record = json.loads(files.read(path))
        tensors = load(files.read(path.with_suffix(".safetensors")))
        if record["format"] != FORMAT:
            raise UsageError(f"{path} has format {record['format']}; this version of Kasmina reads format {FORMAT}")
        if not isinstance(record["seeds"], list):
            raise TypeError("its seeds are no list")
        return Checkpoint(record["seeds"], tensors)
    except OSError as error:
        raise UsageError(f"the checkpoint {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise UsageError(f"the checkpoint {path} is damaged: {error}") from error
