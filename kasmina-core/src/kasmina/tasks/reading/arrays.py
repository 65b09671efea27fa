"""Reads an NPZ with arrays `x` and `y`, in whatever shape a host takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kasmina.errors import UsageError
from kasmina.tasks.reading.samples import Array, Samples, check_memory, some

SHAPES = "(N, F), (N, T, F) or (N, C, H, W)"


def read_npz(path: Path) -> Samples:
    """Read x (N, …) and y (N,) or (N, outputs) without opening pickles.

    Raises:
        UsageError: An array is missing, or one of them has the wrong shape or dtype.
    """
    # Opened here, because numpy leaves a file open that is no archive.
    with path.open("rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UsageError(f"'{path}' holds one bare array: save both by numpy.savez(FILE, x=…, y=…)")
        with loaded as file:
            missing = [name for name in ("x", "y") if name not in file.files]
            if missing:
                there = some(sorted(file.files)) or "none"
                raise UsageError(
                    f"'{path}' has no array {some(missing)} (there: {there}): save it by numpy.savez(FILE, x=…, y=…)"
                )
            check_memory(path, _unpacked(file))
            x, y = _array(path, file, "x"), _array(path, file, "y")
    _check_shapes(path, x, y)
    return Samples(
        path,
        _features(path, x),
        _labels(path, y),
        "array 'y'",
        lambda index: "x" + str([int(place) for place in np.unravel_index(index, x.shape[1:])]),
        lambda row: f"row {row + 1}",
    )


def _unpacked(file: Any) -> int:
    """Return the number of bytes that the two arrays take, according to the archive."""
    return sum(int(file.zip.getinfo(f"{name}.npy").file_size) for name in ("x", "y"))


def _array(path: Path, file: Any, name: str) -> Array:
    try:
        return np.asarray(file[name])
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise UsageError(
            f"array '{name}' of '{path}' holds Python objects, and pickles are refused: save it as numbers or text"
        ) from error


def _check_shapes(path: Path, x: Array, y: Array) -> None:
    if x.ndim not in (2, 3, 4):
        raise UsageError(f"array 'x' of '{path}' has shape {x.shape}: {SHAPES} is due")
    if y.ndim not in (1, 2):
        raise UsageError(f"array 'y' of '{path}' has shape {y.shape}: (N,) or (N, outputs) is due")
    if len(x) != len(y):
        raise UsageError(f"array 'x' of '{path}' has {len(x)} rows and 'y' has {len(y)}: each sample needs one label")
    if not len(x):
        raise UsageError(f"the arrays of '{path}' have no rows: save the data with them")
    if not x[0].size:
        raise UsageError(f"array 'x' of '{path}' has shape {x.shape}, and so no features: {SHAPES} is due")
    if not y[0].size:
        raise UsageError(f"array 'y' of '{path}' has shape {y.shape}, and so no labels: (N,) or (N, outputs) is due")


def _features(path: Path, x: Array) -> Array:
    if x.dtype.kind not in "biuf":
        raise UsageError(f"array 'x' of '{path}' has dtype {x.dtype}, where numbers are due: save it as float32")
    return x.astype(np.float64)


def _labels(path: Path, y: Array) -> Array:
    if y.dtype.kind == "f":
        return y.astype(np.float64)
    if y.dtype.kind in "biu":
        return y
    if y.dtype.kind in "US" and (y.ndim == 1 or y.shape[1] == 1):
        text = y.reshape(-1)
        return (np.char.decode(text, "utf-8") if y.dtype.kind == "S" else text).astype(object)
    raise UsageError(
        f"array 'y' of '{path}' has dtype {y.dtype} and shape {y.shape}: save class names as text (N,), or numbers"
    )
