"""Activations at the sites of seeds, as points for TensorBoard's page Projector."""

from __future__ import annotations

import math
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kasmina import Predictions

CONFIG = "projector_config.pbtxt"
FOLDER = "embeddings"
WIDTH = 128
"""Maximum number of features of a point; those that vary most are kept."""
SPRITE = 64
"""Maximum number of pixels along a side of one sample's picture."""

Array = np.ndarray[Any, Any]


class Embeddings:
    """Points of every site and logged epoch in `folder`, and the list of them that the page offers.

    Torch's `add_embedding` only appends to that list, so that a resumed run would be in it twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def count(self) -> int:
        """Number of embeddings, each of one site at one epoch."""
        return len(self._config.embeddings)

    def add(self, predictions: Predictions, step: int) -> None:
        """Write the points of an epoch, and replace those that are there already."""
        if not predictions.activations or not len(predictions.x):
            return
        config = self._config
        moment = f"{FOLDER}/epoch-{step}"
        (self.folder / moment).mkdir(parents=True, exist_ok=True)
        write(self.folder / moment / "labels.tsv", labels(predictions))
        sprite = self._sprite(predictions.x)
        kept = [entry for entry in config.embeddings if not entry.tensor_path.startswith(f"{moment}/")]
        del config.embeddings[:]
        config.embeddings.extend(kept)
        for number, (site, values) in enumerate(predictions.activations.items()):
            points = widest(values)
            write(self.folder / moment / f"{number}.tsv", table(points))
            entry = config.embeddings.add(tensor_name=f"{site}, epoch {step}", tensor_shape=points.shape)
            entry.tensor_path, entry.metadata_path = f"{moment}/{number}.tsv", f"{moment}/labels.tsv"
            if sprite:
                entry.sprite.image_path = f"{FOLDER}/sprite.png"
                entry.sprite.single_image_dim.extend(sprite)
        self._list()

    def go_back(self, count: int) -> None:
        """Remove all but the first `count` embeddings."""
        config = self._config
        if len(config.embeddings) > count:
            kept = {Path(entry.tensor_path).parent for entry in config.embeddings[:count]}
            for entry in config.embeddings[count:]:
                if Path(entry.tensor_path).parent not in kept:
                    shutil.rmtree(self.folder / Path(entry.tensor_path).parent, ignore_errors=True)
            del config.embeddings[count:]
            self._list()

    @cached_property
    def _config(self) -> Any:
        """List of the embeddings, as the page reads it."""
        from google.protobuf import text_format
        from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

        path = self.folder / CONFIG
        return text_format.Parse(path.read_text(encoding="utf-8") if path.exists() else "", ProjectorConfig())

    def _list(self) -> None:
        from google.protobuf import text_format

        write(self.folder / CONFIG, text_format.MessageToString(self._config, as_utf8=True))

    def _sprite(self, x: Array) -> tuple[int, int] | None:
        """Return width and height of one picture in the sheet of all samples, or None if the samples are not images."""
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            return None
        pictures = shrunk(as_bytes(x))
        path = self.folder / FOLDER / "sprite.png"
        if not path.exists():
            from matplotlib.image import imsave

            imsave(path, sheet(pictures))
        return pictures.shape[2], pictures.shape[1]


def shrunk(pictures: Array) -> Array:
    """Return pictures (N, h, w, 3) of at most `SPRITE` pixels along a side, by averaging over squares of pixels."""
    n, height, width, _ = pictures.shape
    side = -(-max(height, width) // SPRITE)
    height, width = max(1, height // side), max(1, width // side)
    kept = pictures[:, : height * side, : width * side]
    down, across = kept.shape[1] // height, kept.shape[2] // width
    means: Array = kept.reshape(n, height, down, width, across, 3).mean((2, 4))
    return means.astype(np.uint8)


def sheet(pictures: Array) -> Array:
    """Return pictures (N, H, W, 3) as one, arranged in a square; the rest is black."""
    n, height, width, _ = pictures.shape
    side = math.ceil(math.sqrt(n))
    filled = np.concatenate([pictures, np.zeros((side * side - n, height, width, 3), np.uint8)])
    rows = filled.reshape(side, side, height, width, 3).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(side * height, side * width, 3))


def as_bytes(x: Array) -> Array:
    """Return images (N, C, H, W) as bytes (N, H, W, 3), scaled so that the minimum is 0 and the maximum 255."""
    x = np.nan_to_num(np.asarray(x, np.float32), posinf=0, neginf=0)
    low, high = float(x.min()), float(x.max())
    scaled = (x - low) * (255 / (high - low) if high > low else 0)
    return np.broadcast_to(scaled.transpose(0, 2, 3, 1), (len(x), *x.shape[2:], 3)).astype(np.uint8)


def widest(values: Array) -> Array:
    """Return points (N, 3 to `WIDTH`) with the features that vary most; numbers that are not finite become 0."""
    values = np.nan_to_num(np.asarray(values, np.float32), posinf=0, neginf=0)
    values = np.pad(values, ((0, 0), (0, max(0, 3 - values.shape[1]))))  # the page shows no points with fewer
    return values[:, np.sort(np.argsort(values.var(0))[-WIDTH:])]


def labels(predictions: Predictions) -> str:
    """Return a table of each sample's target and prediction; the page labels points by the first column of texts."""
    y, outputs = predictions.y, predictions.outputs
    if not predictions.classes:
        rows = [f"{actual:.4g}\t{given:.4g}" for actual, given in zip(y[:, 0], outputs[:, 0], strict=True)]
        return "\n".join(["value\tpredicted", *rows]) + "\n"
    names = [f"class {' '.join(name.split())}" for name in predictions.classes]
    taken = outputs.argmax(1)
    rows = [f"{names[a]}\t{names[b]}\t{'yes' if a == b else 'no'}" for a, b in zip(y, taken, strict=True)]
    return "\n".join(["class\tpredicted\tright", *rows]) + "\n"


def table(points: Array) -> str:
    return "".join("\t".join(map("{:.5g}".format, row)) + "\n" for row in points.tolist())


def write(path: Path, content: str) -> None:
    """Write a file atomically: TensorBoard may be reading it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)
