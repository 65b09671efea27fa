"""Numbers, histograms, pictures, texts and options as TensorBoard's `Summary.Value`."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kasmina_loggers.figures import as_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 30
"""Number of bins that TensorBoard shows; torch's `add_histogram` writes up to 1,500 and takes twenty times as long."""

Array = np.ndarray[Any, Any]


def scalars(metrics: Mapping[str, float]) -> Iterator[Any]:
    from tensorboard.compat.proto.summary_pb2 import Summary

    for name, value in metrics.items():
        yield Summary.Value(tag=name, simple_value=float(value))


def histograms(arrays: Mapping[str, Array]) -> Iterator[Any]:
    """Yield a histogram of the finite values of each array that has any."""
    from torch.utils.tensorboard.summary import histogram_raw

    for name, array in arrays.items():
        values = np.asarray(array, np.float64).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            low, high = values.min(), values.max()
            counts, edges = np.histogram(values, BINS if low < high else 1)
            limits = edges[1:] if low < high else [high]
            with np.errstate(over="ignore"):
                sums = float(values.sum()), float(values @ values)
            found = histogram_raw(name, low, high, values.size, *sums, limits, counts)
            yield from found.value


def images(figures: Mapping[str, Figure]) -> Iterator[Any]:
    """Yield each figure as a PNG."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    for name, figure in figures.items():
        png = as_png(figure)
        width, height = struct.unpack(">II", png[16:24])
        picture = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        yield Summary.Value(tag=name, image=picture)


def text(name: str, markdown: str) -> Iterator[Any]:
    from torch.utils.tensorboard.summary import text

    yield from text(name, markdown).value


def layout(groups: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[Any]:
    """Yield the page Custom Scalars: groups of charts, each of all series whose names one of its patterns begins."""
    from torch.utils.tensorboard.summary import custom_scalars

    charts = {
        group: {name: ["Multiline", list(tags)] for name, tags in found.items()} for group, found in groups.items()
    }
    yield from custom_scalars(charts).value


def options(config: Mapping[str, Any], metrics: Sequence[str], failed: bool) -> Iterator[Any]:
    """Yield options for the page HParams, and the names of the scalars that say what came of them."""
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from torch.utils.tensorboard.summary import hparams

    experiment, start, end = hparams(dict(flat(config)), dict.fromkeys(metrics, 0.0))
    if failed:
        metadata = end.value[0].metadata.plugin_data
        data = HParamsPluginData.FromString(metadata.content)
        data.session_end_info.status = STATUS_FAILURE
        metadata.content = data.SerializeToString()
    for summary in (experiment, start, end):
        yield from summary.value


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Yield every option by its dotted name, except those that are None."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, (bool, int, float, str)):
            yield prefix + name, value
        elif value is not None:
            yield prefix + name, ", ".join(map(str, value)) if isinstance(value, Sequence) else str(value)
