"""The data and the host of a run, made by plugins of any origin, and checked."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.errors import KasminaError, PluginError, UsageError
from kasmina.growth.sites.probe import untouched
from kasmina.plugins.messages import one_line
from kasmina.plugins.user_code import UserCallable
from kasmina.records import Data
from kasmina.run.data import Splits, prepare
from kasmina.run.options.config import Config
from kasmina.run.seeding import seed_everything


def load(task: Any, config: Config, device: torch.device) -> tuple[Data, Splits]:
    """Return the task's data, whole and split.

    Raises:
        UsageError: There are too few rows.
        PluginError: The task returned something other than Data (a UsageError if it is the user's own).
    """
    data = task.load()
    if not isinstance(data, Data):
        raise error_of(task)(f"task {config.task.name!r} gave {type(data).__name__}, due is kasmina.Data")
    splits = prepare(data, config.settings.split_seed, device)
    rows, batch = len(splits.train), config.settings.batch
    if batch and rows < batch:
        raise UsageError(
            f"task {config.task.name!r}: {rows} of its {len(data.y)} rows are for training, fewer than a batch of "
            f"{batch}; bring more rows, or take --set batch={max(1, rows // 4)}"
        )
    return data, splits


def build_host(plugin: Any, config: Config, data: Data, sample: Tensor) -> nn.Module:
    """Return the host on the device of `sample` (2, *in_shape). Its initial weights depend on the run's seed alone.

    Raises:
        PluginError: It is no module, or does not map the sample to (2, outputs) (a UsageError if it is the user's own).
    """
    name = f"host {config.host.name!r}"
    try:
        refuse_giant(plugin, name, data)
        seed_everything(sample.device, config.settings.seed)
        host = plugin.build(in_shape=data.in_shape, outputs=data.outputs)
    except KasminaError:
        raise
    except Exception as error:
        why = one_line(error)[:200]
        raise error_of(plugin)(f"{name} cannot be built for samples of shape {data.in_shape}: {why}") from error
    if not isinstance(host, nn.Module):
        raise error_of(plugin)(f"{name} gave {type(host).__name__}, due is a torch.nn.Module")
    host = host.to(sample.device)
    check_output(plugin, name, host, sample, data.outputs)
    return host


def check_output(plugin: Any, name: str, host: nn.Module, sample: Tensor, outputs: int) -> None:
    """Raise if the host does not map the sample to (2, outputs).

    Raises:
        PluginError: It does not (a UsageError if it is the user's own).
    """
    try:
        with untouched(host):
            output = host(sample)
    except Exception as error:
        why = one_line(error)
        raise error_of(plugin)(f"{name} fails on samples of shape {tuple(sample.shape)}: {why}") from error
    came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if came != (len(sample), outputs):
        raise error_of(plugin)(f"{name} gives {came} for {len(sample)} samples, due is {(len(sample), outputs)}")


def refuse_giant(plugin: Any, name: str, data: Data) -> None:
    """Raise if the host is too large; it is built without memory for its tensors first.

    Raises:
        UsageError: Weights, gradients and the optimiser's two moments are more than the machine's memory.
    """
    if isinstance(plugin, UserCallable) or not hasattr(os, "sysconf"):
        return
    try:
        with torch.device("meta"):
            size = sum(
                p.numel() * p.element_size()
                for p in plugin.build(in_shape=data.in_shape, outputs=data.outputs).parameters()
            )
    except Exception:  # not every host can be built so
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 4 * size > memory:
        raise UsageError(
            f"{name}: training takes {4 * size / 2**30:.1f} GiB for its weights alone, of {memory / 2**30:.1f} that"
            " this machine has; make it smaller"
        )


def error_of(plugin: Any) -> type[KasminaError]:
    """Return the type of error that this plugin causes: UsageError for the user's own code, else PluginError."""
    return UsageError if isinstance(plugin, UserCallable) else PluginError
