"""Assembly of a run in one pass: data, host, sites, growth, training."""

from __future__ import annotations

import math
from collections.abc import Callable

from kasmina.growth.budget import BudgetTracker
from kasmina.growth.evaluation import Evaluation, Evaluator
from kasmina.growth.growth import Growth
from kasmina.growth.growth_options import GrowthOptions
from kasmina.records import Data, DataInfo, Plan, RunInfo
from kasmina.run.course import Course
from kasmina.run.data import Splits
from kasmina.run.device import resolve, settle_threads
from kasmina.run.folder import Folder
from kasmina.run.objective import OBJECTIVES, chance_loss, evaluate, evaluate_constant
from kasmina.run.optimizer import AdamW
from kasmina.run.options.config import Config, fit_to_rows
from kasmina.run.plugin_set import PluginSet, written
from kasmina.run.preparation import build_host, load
from kasmina.run.recovery.governor import Governor
from kasmina.run.seeding import seed_everything
from kasmina.run.site_choice import choose_sites
from kasmina.run.training import RunPlugins, Training


def assemble(config: Config, plugins: PluginSet, folder: Folder, warn: Callable[[str], None]) -> Training:
    """Return everything that the loop works on; nothing is written yet.

    Raises:
        UsageError: Options or data do not fit, or the host alone is over the budget; nothing was left behind.
        PluginError: A task, host or blueprint gave something other than is due.
    """
    data, splits = load(plugins.task, config, resolve(config.settings.device))
    config = fit_to_rows(config, len(splits.train))
    settings, batch = config.settings, config.settings.batch or 1
    host = build_host(plugins.host, config, data, splits.train.x[:2])
    size = sum(parameter.numel() for parameter in host.parameters())
    settle_threads(size)
    hooks = plugins.hooks(warn)
    patterns, sites = choose_sites(config, plugins, hooks, host, splits.train.x[:2])
    info = RunInfo(
        name=folder.path.name,
        folder=folder.path,
        choices=plugins.names,
        data=describe(data, splits),
        plan=Plan(config.phases, math.ceil(len(splits.train) / batch), settings.order),
        seed=settings.seed,
        device=str(splits.device),
        parameters=size,
        sites=tuple(bound.site for bound in sites.values()),
        config=written(config, plugins, patterns),
    )
    objective = OBJECTIVES[data.goal]
    optimizer = AdamW(host.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)

    def validation() -> Evaluation:
        if not growth.batches:  # between epochs, where loggers and a measured host may draw
            seed_everything(splits.device, settings.seed, growth.epoch, 1)
        return Evaluation(*evaluate(host, objective, splits.validation))

    budget = BudgetTracker(settings.budget, host, splits.train.x[:1], sites)
    constant = evaluate_constant(objective, splits.train, splits.validation, data.outputs)
    evaluator = Evaluator(validation, info.data.metric, data.target, constant[0])
    options = GrowthOptions(settings.growth, batch, settings.seed, budget)
    growth = Growth(host, sites, optimizer, hooks, evaluator, options)
    most = chance_loss(data.goal, splits.train.y, data.outputs, min(batch, len(splits.train)))
    governor = Governor(settings.governor, most)
    called = RunPlugins(hooks, plugins.states(warn))
    return Training(
        info, called, host, growth, optimizer, objective, splits, governor, Course(info.plan, settings.stop)
    )


def describe(data: Data, splits: Splits) -> DataInfo:
    """Return the description of a task's data."""
    return DataInfo(
        goal=data.goal,
        metric=OBJECTIVES[data.goal].metric_name,
        target=data.target,
        in_shape=data.in_shape,
        outputs=data.outputs,
        classes=data.classes,
        features=data.features,
        digest=splits.digest,
        rows={name: len(getattr(splits, name)) for name in ("train", "validation", "test")},
    )
