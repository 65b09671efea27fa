"""One checkpoint on disk: NUMBER.safetensors for tensors and NUMBER.json for everything else, never a pickle.

The JSON is written last and holds the digests of both. So a checkpoint is there whole or not at all, and any change to
it is detected. Checkpoints are numbered in the order of writing, and none is ever overwritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, frozen
from safetensors import SafetensorError
from safetensors.torch import load

from kasmina import files
from kasmina.errors import KasminaError, UsageError
from kasmina.files import write_all
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.packing import NAMES, Packed, TensorLocation, unpack
from kasmina.run.folder import digest

FORMAT = 4


class Damaged(KasminaError):
    """Error for a checkpoint whose content is not what was written."""


@frozen(eq=False)
class Checkpoint:
    """A checkpoint as it was read back."""

    path: Path
    """Path of its JSON."""
    facts: Facts
    state: dict[str, Any]
    """Tree that was packed."""

    @property
    def number(self) -> int:
        """Number by which others refer to it."""
        return int(self.path.stem)


def write_checkpoint(path: Path, packed: Packed, facts: Facts) -> None:
    """Write the checkpoint whose JSON is `path`.

    Raises:
        OSError: The checkpoint could not be written; nothing is left of it.
    """
    tensors = _serialized(packed)
    text = _text({"format": FORMAT, **asdict(facts), "tensors": digest(tensors), "state": packed.record})
    text = b'{"digest": "%b", %b' % (digest(text).encode("ascii"), text[1:])
    # Parents are not made: a run whose folder was removed must not begin another in its place.
    if not path.parent.is_dir():
        path.parent.mkdir()
    write_all(path.parent, {f"{path.stem}.safetensors": tensors, path.name: text})


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint whose JSON is `path`.

    Raises:
        Damaged: A part of it is missing, or is not what was written.
        UsageError: It has another format.
    """
    try:
        record = json.loads(files.read(path))
        found = record.pop("format")
        if found != FORMAT and isinstance(found, int):
            raise UsageError(f"the checkpoint {path} has format {found}; this version of Kasmina reads format {FORMAT}")
        tensors = files.read(path.with_suffix(".safetensors"))
        said = record.pop("digest")
        if said != digest(_text({"format": found, **record})) or record["tensors"] != digest(tensors):
            raise ValueError("its digest is another")
        named = load(tensors)
        state = unpack(record.pop("state"), named.__getitem__)
        if not isinstance(state, dict):
            raise ValueError("its state is no mapping")
        facts = Facts.read(record)
    except OSError as error:
        raise Damaged(f"{Path(error.filename or path).name} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise Damaged(f"{path.stem} is damaged: {' '.join(str(error).split())[:200]}") from error
    return Checkpoint(path, facts, state)


def path_of(folder: Path, number: int) -> Path:
    """Return the path of the JSON of the checkpoint of this number."""
    return folder / f"{number:06}.json"


def listed(folder: Path) -> list[tuple[int, Path]]:
    """Return number and path of every checkpoint in a folder, the newest first."""
    found = [(int(path.stem), path) for path in folder.glob("*.json") if re.fullmatch(r"[0-9]{6,18}", path.stem)]
    return sorted(found, reverse=True)


def remove_checkpoint(path: Path) -> None:
    """Remove both files. The JSON goes first: without it there is no checkpoint."""
    path.unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def remove_others(folder: Path, keep: Collection[int]) -> None:
    """Remove every checkpoint except these, and the files that crashes left behind."""
    kept = {path_of(folder, number).stem for number in keep}
    for path in [*folder.glob("*.json"), *folder.glob("*.safetensors"), *folder.glob(".*.part")]:
        if path.stem not in kept:
            path.unlink(missing_ok=True)


def _serialized(packed: Packed) -> bytes:
    """Return a safetensors file: the length of the header, the header as JSON, and the bytes of all tensors.

    The file is written without the library because the tensors are contiguous already. The library's `save` copies
    everything twice and takes 14 us per tensor, more than the rest of a checkpoint. The library reads the file.
    """
    # The widest types come first, so that every tensor is aligned.
    flats = dict(sorted(packed.flats.items(), key=lambda item: -item[1].element_size()))
    text = _header(tuple((dtype, flat.numel()) for dtype, flat in flats.items()), tuple(packed.layout.items()))
    parts = [flat.view(torch.uint8).numpy().data for flat in flats.values()]
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


@lru_cache(maxsize=2)
def _header(flats: tuple[tuple[torch.dtype, int], ...], layout: tuple[tuple[str, TensorLocation], ...]) -> bytes:
    """Return the header, which stays the same from one epoch to the next unless the network has grown."""
    begins, begin = {}, 0
    for dtype, count in flats:
        begins[dtype] = begin
        begin += count * dtype.itemsize
    header = {}
    for name, (dtype, shape, start, end) in layout:
        offsets = [begins[dtype] + at * dtype.itemsize for at in (start, end)]
        header[name] = {"dtype": NAMES[dtype], "shape": list(shape), "data_offsets": offsets}
    text = _text(header)
    return text + b" " * (-len(text) % 8)


def _text(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode("ascii")
