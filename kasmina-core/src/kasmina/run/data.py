"""Split of a task's data into three parts, scaled by statistics of the train split alone."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from kasmina.errors import UsageError
from kasmina.records import Data
from kasmina.run.split import train_test_split

SHARE = 0.15
"""Share of all rows that validation and test get each; the rest is for training."""

FEWEST = 3
"""Number of rows that a class needs to be split in three."""

# Statistics are taken over the batch and over what repeats within a sample: time steps, or the pixels of a channel.
REDUCED = {2: (0,), 3: (0, 1), 4: (0, 2, 3)}

Array = np.ndarray[Any, Any]


@frozen(eq=False)
class Scaler:
    """Scaler to mean 0 and standard deviation 1, per feature, or per channel of an image.

    `mean` and `std` broadcast over a batch: (F,) for vectors (B, F) and sequences (B, T, F), (C, 1, 1) for images
    (B, C, H, W). A feature that was constant where the scaler was fitted has std 1, and so becomes 0.
    """

    mean: Tensor
    std: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Scale x (B, …)."""
        return (x - self.mean) / self.std

    def invert(self, x: Tensor) -> Tensor:
        """Undo :meth:`apply`."""
        return x * self.std + self.mean

    def to(self, device: torch.device) -> Scaler:
        """Return the same scaler on another device."""
        return Scaler(self.mean.to(device), self.std.to(device))


@frozen(eq=False)
class Split:
    """Scaled samples x (N, *in_shape), and targets y: class indices (N,) in int64, or scaled values (N, outputs)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


@frozen(eq=False)
class Splits:
    """Three parts of a task's data on their device, and the scalers that were fitted on the train part."""

    train: Split
    validation: Split
    """Split for validation, the only one that decisions may depend on."""
    test: Split
    """Split for the test, which is read once, for the summary."""
    inputs: Scaler
    outputs: Scaler | None
    """Scaler of a regression's targets; None for a classification."""
    digest: str = ""
    """SHA-256 of the whole data, as the task gave it."""

    @property
    def device(self) -> torch.device:
        return self.train.y.device


def prepare(data: Data, seed: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Splits:
    """Split `data` by `seed`, fit the scalers on the train rows alone, and put all of it on `device` in `dtype`.

    Raises UsageError for data that cannot be split or scaled.
    """
    _check(data)
    parts = split_rows(data, seed)
    inputs = fit(data.x[parts[0]], dtype).to(device)
    outputs = fit(data.y[parts[0]], dtype).to(device) if data.goal == "regression" else None

    def split(rows: Array) -> Split:
        x = _scaled(data.x[rows], inputs, dtype)
        y = _scaled(data.y[rows], outputs, dtype) if outputs else torch.as_tensor(data.y[rows]).long().to(device)
        return Split(x, y)

    train, validation, test = map(split, parts)
    return Splits(train, validation, test, inputs, outputs, digest(data))


def digest(data: Data) -> str:
    """Return the SHA-256 of samples and targets, types and shapes included."""
    found = hashlib.sha256(repr((data.goal, data.classes)).encode())
    for values in (data.x, data.y):
        found.update(repr((values.dtype.str, values.shape)).encode())
        found.update(np.ascontiguousarray(values).view(np.uint8).data)
    return found.hexdigest()


def split_rows(data: Data, seed: int) -> tuple[Array, Array, Array]:
    """Return the indices of the rows of train (70 %), validation (15 %) and test (15 %).

    Each class has the same share of all three.

    They depend on the labels and `seed` alone. Raises UsageError if there are too few rows, or too few of a class.
    """
    labels = data.y if data.goal == "classification" else None
    if labels is not None:
        _refuse_rare(labels, data.classes)
    count = max(1, round(SHARE * len(data.y)))
    rest, test = _cut(np.arange(len(data.y)), count, labels, seed)
    train, validation = _cut(rest, count, labels, seed)
    return train, validation, test


def fit(x: Array, dtype: torch.dtype = torch.float32) -> Scaler:
    """Return the scaler of the rows x, shaped (N, F), (N, T, F) or (N, C, H, W).

    The statistics are computed in float64 and kept in `dtype`, but in float32 at least.
    """
    axes = REDUCED[x.ndim]
    mean, std = np.mean(x, axis=axes, dtype=np.float64), np.std(x, axis=axes, dtype=np.float64)
    # Constants are found by their values, not by std == 0: the rounded mean of a constant leaves a tiny std.
    low = x.min(axes)
    constant = low == x.max(axes)
    kept = torch.promote_types(dtype, torch.float32)
    shape = (-1, 1, 1) if x.ndim == 4 else (-1,)
    centre = torch.tensor(np.where(constant, low, mean), dtype=kept).reshape(shape)
    scale = torch.tensor(np.where(constant, 1.0, std), dtype=kept).reshape(shape)
    # A deviation that is too small for the dtype has become 0.
    return Scaler(centre, torch.where(scale == 0, 1.0, scale))


def _scaled(rows: Array, scaler: Scaler, dtype: torch.dtype) -> Tensor:
    values = torch.as_tensor(rows, dtype=scaler.mean.dtype).to(scaler.mean.device)
    scaled = scaler.apply(values).to(dtype)
    if not torch.isfinite(scaled).all():
        raise UsageError(
            f"the task's data has NaN or infinite values once it is scaled in {str(dtype).removeprefix('torch.')}:"
            " look for missing values, and for numbers far beyond all others"
        )
    return scaled


def _cut(rows: Array, count: int, labels: Array | None, seed: int) -> tuple[Array, Array]:
    """Cut off `count` of the rows, and return the remaining rows and those cut off."""
    try:
        left, off = train_test_split(len(rows), count, seed, None if labels is None else labels[rows])
    except ValueError as error:
        classes = "" if labels is None else f" of {len(np.unique(labels))} classes"
        raise UsageError(
            f"the task's data cannot be split into train, validation and test: {len(rows)} rows{classes} are too few;"
            " add rows"
        ) from error
    return rows[left], rows[off]


def _refuse_rare(labels: Array, names: tuple[str, ...]) -> None:
    values, counts = np.unique(labels, return_counts=True)
    rare = [f"'{names[value]}' ({count})" for value, count in zip(values, counts, strict=True) if count < FEWEST]
    if rare:
        raise UsageError(
            f"classes too rare to be split into train, validation and test, which takes {FEWEST} rows of each:"
            f" {', '.join(rare[:8])}{' …' if len(rare) > 8 else ''}; add rows, or merge or remove these classes"
        )


def _check(data: Data) -> None:
    """Raise if types or shapes are not those that a task must return."""
    for name, values in {"x": data.x, "y": data.y}.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
            came = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else f"a {type(values).__name__}"
            raise UsageError(f"the task's {name} is {came}: a numpy array of numbers is due")
    if data.goal not in ("classification", "regression"):
        raise UsageError(f"the task's goal is {data.goal!r}: classification or regression is due")
    if data.x.ndim not in REDUCED:
        raise UsageError(
            f"the task's samples x have shape {data.x.shape}: (N, F), (N, T, F) or (N, C, H, W) is due from its load()"
        )
    if len(data.x) != len(data.y):
        raise UsageError(
            f"the task has {len(data.x)} samples and {len(data.y)} labels: as many are due from its load()"
        )
    if data.y.ndim != (1 if data.goal == "classification" else 2):
        due = "(N,) of class indices" if data.goal == "classification" else "(N, outputs)"
        raise UsageError(f"the task's labels y have shape {data.y.shape}: {due} is due from its load() for {data.goal}")
    if data.goal == "classification" and data.y.dtype.kind == "f":
        raise UsageError(f"the task's labels y are {data.y.dtype}: whole numbers, the indices of its classes, are due")
    if data.goal == "classification" and not ((data.y >= 0) & (data.y < len(data.classes))).all():
        raise UsageError(f"the task's labels y are not all within 0 … {len(data.classes) - 1}, its classes")
