"""Puts a run together: data, host, sites, seeds' manager and optimiser, from its options."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.errors import KasminaError, PluginError, UsageError
from kasmina.growth.budget import BudgetTracker
from kasmina.growth.evaluation import Evaluation, Evaluator
from kasmina.growth.growth import Growth
from kasmina.growth.growth_options import GrowthOptions
from kasmina.growth.sites.find import BoundSite, find_sites
from kasmina.growth.sites.probe import untouched
from kasmina.plugins.hooks import Hooks
from kasmina.plugins.messages import one_line
from kasmina.plugins.plugin_state import PluginStates
from kasmina.plugins.user_code import UserCallable
from kasmina.records import Data, DataInfo, Plan, RunInfo
from kasmina.run.data import Splits, prepare
from kasmina.run.device import resolve, settle_threads
from kasmina.run.eligibility import check_offers, eligible_sites
from kasmina.run.folder import Folder
from kasmina.run.objective import OBJECTIVES, chance_loss, evaluate
from kasmina.run.optimizer import AdamW
from kasmina.run.options.config import Config
from kasmina.run.plugin_set import PluginSet, written
from kasmina.run.recovery.governor import Governor
from kasmina.run.seeding import seed_everything
from kasmina.run.training import Training


def assemble(config: Config, plugins: PluginSet, folder: Folder, warn: Callable[[str], None]) -> Training:
    """Everything that the loop works on; nothing is written yet.

    Raises:
        UsageError: options or data do not fit; nothing was left behind.
        PluginError: a task, host or blueprint gave something other than is due.
    """
    settings = config.settings
    device = resolve(settings.device)
    data, splits = load(plugins.task, config, device)
    sample = splits.train.x[:2]
    host = build_host(plugins.host, config, data, sample)
    size = sum(parameter.numel() for parameter in host.parameters())
    settle_threads(size)
    hooks = plugins.hooks(warn)
    grows = may_germinate(config, hooks)
    patterns = config.settings.sites or tuple(getattr(plugins.host, "default_sites", ()))
    if grows and not patterns:
        raise no_sites(config.host.name, host, sample)
    places = find_sites(host, patterns, sample)
    sites = [place.site for place in places.values()]
    if grows:
        check_offers(sites, plugins.blueprints, settings.growth.init)
    places = eligible_sites(places, plugins.blueprints)
    raw = written(config, plugins, patterns)
    info = RunInfo(
        name=folder.path.name,
        folder=folder.path,
        choices=plugins.names,
        data=DataInfo(
            goal=data.goal,
            metric=OBJECTIVES[data.goal].metric_name,
            target=data.target,
            in_shape=data.in_shape,
            outputs=data.outputs,
            classes=data.classes,
            features=data.features,
            digest=splits.digest,
            rows={name: len(getattr(splits, name)) for name in ("train", "validation", "test")},
        ),
        plan=Plan(config.phases, math.ceil(len(splits.train) / settings.batch)),
        seed=settings.seed,
        device=str(device),
        parameters=size,
        sites=tuple(place.site for place in places.values()),
        config=raw,
    )
    return connect(config, hooks, plugins.states(warn), info, host, places, splits)


def connect(
    config: Config,
    hooks: Hooks,
    states: PluginStates,
    info: RunInfo,
    host: nn.Module,
    places: dict[str, BoundSite],
    splits: Splits,
) -> Training:
    """The host's growth, tied to its optimiser and to the run's hooks.

    Raises:
        UsageError: the host alone is over the budget.
    """
    settings = config.settings
    objective = OBJECTIVES[info.data.goal]
    optimizer = AdamW(host.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)

    def validation() -> Evaluation:
        if not growth.batches:  # between epochs, where loggers may draw, and the host may as it is measured
            seed_everything(splits.device, settings.seed, growth.epoch, 1)
        return Evaluation(*evaluate(host, objective, splits.validation))

    growth = Growth(
        host,
        places,
        optimizer,
        hooks,
        Evaluator(validation, info.data.metric, info.data.target),
        GrowthOptions(
            recipe=settings.growth,
            batch=settings.batch,
            seed=settings.seed,
            budget=BudgetTracker(settings.budget, host, splits.train.x[:1], places),
        ),
    )
    return Training(
        info=info,
        hooks=hooks,
        states=states,
        host=host,
        growth=growth,
        optimizer=optimizer,
        objective=objective,
        splits=splits,
        settings=settings,
        governor=Governor(
            settings.governor,
            chance_loss(info.data.goal, splits.train.y, info.data.outputs, min(settings.batch, len(splits.train))),
        ),
    )


def load(task: Any, config: Config, device: torch.device) -> tuple[Data, Splits]:
    """The task's data, whole and split.

    Raises:
        UsageError: there is too little of it.
        PluginError: the task gave something other than Data (a UsageError if it is the user's own).
    """
    data = task.load()
    if not isinstance(data, Data):
        raise fault(task)(f"task {config.task.name!r} gave {type(data).__name__}, due is kasmina.Data")
    splits = prepare(data, config.settings.split_seed, device)
    rows, batch = len(splits.train), config.settings.batch
    if rows < batch:
        raise UsageError(
            f"task {config.task.name!r}: {rows} of its {len(data.y)} rows are for training, fewer than a batch of "
            f"{batch}; bring more rows, or take --set batch={max(1, rows // 4)}"
        )
    return data, splits


def build_host(plugin: Any, config: Config, data: Data, sample: Tensor) -> nn.Module:
    """The host on the device of `sample` (2, *in_shape), with initial weights that depend on the run's seed alone.

    Raises:
        PluginError: it is no module, or does not map the sample to (2, outputs) (a UsageError if it is the user's own).
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
        raise fault(plugin)(f"{name} cannot be built for samples of shape {data.in_shape}: {why}") from error
    if not isinstance(host, nn.Module):
        raise fault(plugin)(f"{name} gave {type(host).__name__}, due is a torch.nn.Module")
    host = host.to(sample.device)
    try:
        with untouched(host):
            output = host(sample)
    except Exception as error:
        raise fault(plugin)(f"{name} fails on samples of shape {tuple(sample.shape)}: {one_line(error)}") from error
    came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if came != (len(sample), data.outputs):
        raise fault(plugin)(f"{name} gives {came} for {len(sample)} samples, due is {(len(sample), data.outputs)}")
    return host


def refuse_giant(plugin: Any, name: str, data: Data) -> None:
    """Builds the host without memory for its tensors first: one too large would take all of the machine's with it.

    Raises:
        UsageError: weights, gradients and the optimiser's two moments are more than the machine's memory.
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


def fault(plugin: Any) -> type[KasminaError]:
    """What it is called if this plugin is wrong: code of the user's own is part of what was typed."""
    return UsageError if isinstance(plugin, UserCallable) else PluginError


def may_germinate(config: Config, hooks: Hooks) -> bool:
    """Return whether any seed can germinate in the run: a phase, a plugin and the budget must all let one."""
    phase = any(phase.germinate and phase.epochs for phase in config.phases)
    return phase and hooks.implements("propose_germination") and config.settings.budget.seeds != 0


def no_sites(name: str, host: nn.Module, sample: Tensor) -> UsageError:
    """Return the error that the host of this name suggests no sites; the sentence names some to choose from."""
    hint = f"name some of its modules with --site, such as {', '.join(usable(host, sample)) or 'none: it has none'}"
    return UsageError(f"the host {name!r} suggests no sites; {hint}")


def usable(host: nn.Module, sample: Tensor) -> list[str]:
    """Some names of modules after which a seed could grow, the outermost first."""
    with suppress(UsageError):
        return sorted(find_sites(host, ["*"], sample), key=lambda name: name.count("."))[:8]
    return []
