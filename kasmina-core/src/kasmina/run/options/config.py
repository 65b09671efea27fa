"""Options of a run, checked and typed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from attrs import evolve, field, frozen, validators

from kasmina.errors import UsageError
from kasmina.growth.budget_options import Budget
from kasmina.growth.recipe import Recipe
from kasmina.plugins.catalog import default, defaults
from kasmina.plugins.structuring import structure
from kasmina.records import Phase
from kasmina.run import trust as trusts
from kasmina.run.course import StopOptions
from kasmina.run.options.sources import CHOICES, Raw, layered, typed
from kasmina.run.recovery.governor import GovernorOptions

PHASES: dict[str, Raw] = {
    "warm-up": {"epochs": 10, "germinate": False},
    "adaptation": {"epochs": 170},
    "consolidation": {"epochs": 120, "germinate": False, "decay": "cosine"},
}


MAX_STEPS = 20_000
"""Number of training steps that a run of the default phases takes at most."""
STEPS = 22
"""Number of steps an epoch that the default batch aims at."""
BATCHES = 8, 512
"""Smallest and largest default batch."""


@frozen
class PluginChoice:
    """Plugin by name, and the options that were given for it."""

    name: str
    options: Mapping[str, Any]


@frozen
class CheckpointOptions:
    """Options for checkpoints, which are written at the end of epochs, and in between once the last is old enough.

    None is written at the end of epochs so short that it would cost 3 % of the time.
    """

    epochs: int = field(default=1, validator=validators.ge(1))
    """Number of epochs from one checkpoint to the next."""
    seconds: float = field(default=60.0, validator=validators.gt(0))
    """Seconds after which a checkpoint is written within an epoch."""


GENERATOR_SEED = validators.and_(validators.ge(0), validators.lt(2**63))
"""Validator of the seeds of random generators."""


@frozen(kw_only=True)
class Settings:
    """Options of a run that are plain values."""

    sites: tuple[str, ...] = ()
    """Site patterns; if there are none, those that the host suggests are taken."""
    seed: int = field(default=0, validator=GENERATOR_SEED)
    """Seed of the random generators for initial weights, and for what host and seeds draw while they train."""
    order_seed: int | None = field(default=None, validator=validators.optional(GENERATOR_SEED))
    """Seed of the order of samples; None for the same as `seed`."""
    split_seed: int = field(default=0, validator=[validators.ge(0), validators.lt(2**32)])
    """Seed of the split into train, validation and test."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    batch: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """Number of samples in a training step; None is by the number of rows, as `fit_to_rows` says."""
    max_steps: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """Largest number of training steps; phases that would take more are shortened in their proportions. None is
    `MAX_STEPS` where the lengths of the phases are the defaults, and no limit where they were given."""
    learning_rate: float = field(default=0.015, validator=[validators.gt(0), validators.lt(math.inf)])
    weight_decay: float = field(default=0.02, validator=[validators.ge(0), validators.lt(math.inf)])
    growth: Recipe = field(factory=Recipe)
    checkpoint: CheckpointOptions = field(factory=CheckpointOptions)
    governor: GovernorOptions = field(factory=GovernorOptions)
    budget: Budget = field(factory=Budget)
    stop: StopOptions = field(factory=StopOptions)

    @property
    def order(self) -> int:
        """Seed of the order of samples, also where it is the same as `seed`."""
        return self.seed if self.order_seed is None else self.order_seed


@frozen(kw_only=True)
class Config:
    """All options of a run."""

    task: PluginChoice
    host: PluginChoice
    controller: PluginChoice
    blueprint: PluginChoice
    alternatives: tuple[PluginChoice, ...]
    """Further blueprints, which compete with the first at each germination."""
    loggers: tuple[PluginChoice, ...]
    phases: tuple[Phase, ...]
    settings: Settings

    @property
    def choices(self) -> dict[str, PluginChoice]:
        """Plugins of which a run has one each, by kind."""
        return {kind: getattr(self, kind) for kind in CHOICES}


def configure(
    file: Path | None = None,
    options: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    epochs: int | None = None,
    trust: bool = False,
) -> Config:
    """Merge and check the options of a run.

    Args:
        file: YAML file, shaped like the config.yaml of a run.
        options: Options of the command line, shaped likewise; only those that were typed.
        sets: Single options such as ``"host.hidden=8"``, with values in YAML.
        epochs: Number of epochs in all; the phases keep their proportions.
        trust: Whether code that only `file` names may be run though the user has not signed it: see run/trust.py.

    Raises:
        UsageError: A name or a value does not fit; the sentence says where. Or `file` names code that nobody typed.
    """
    start: Raw = {
        "alternatives": {},
        "loggers": {name: {} for name in defaults("logger")},
        "phases": {name: dict(phase) for name, phase in PHASES.items()},
    }
    raw = layered(start, file, options or {}, sets)
    if epochs is None and raw["phases"] == PHASES:
        raw.setdefault("max_steps", MAX_STEPS)
    choices = {kind: _choice(kind, raw.pop(kind, {})) for kind in CHOICES}
    if file and not trust:
        said = typed(options or {}, sets)
        trusts.check(file, {kind: choice.name for kind, choice in choices.items() if said.get(kind) != choice.name})
    alternatives, loggers = _several("blueprint", "alternatives", raw), _several("logger", "loggers", raw)
    phases = _phases(_mapping("phases", raw.pop("phases")))
    settings = structure(raw, Settings, "")
    return Config(
        **choices, alternatives=alternatives, loggers=loggers, phases=_rescaled(phases, epochs), settings=settings
    )


def fit_to_rows(config: Config, rows: int) -> Config:
    """Return the options for so many rows of training data: the batch, and the lengths of the phases.

    The default batch is the power of two that comes nearest to `STEPS` steps an epoch, within `BATCHES`, and no larger
    than the data.
    """
    low, high = BATCHES
    batch = config.settings.batch or min(rows, max(low, min(high, 2 ** round(math.log2(max(1, rows / STEPS))))))
    epochs, limit = sum(phase.epochs for phase in config.phases), config.settings.max_steps
    if limit is not None:
        epochs = min(epochs, max(1, limit // math.ceil(rows / batch)))
    settings = evolve(config.settings, batch=batch, growth=config.settings.growth.settled(epochs))
    return evolve(config, settings=settings, phases=_rescaled(config.phases, epochs))


def _mapping(where: str, value: object) -> Raw:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: takes a mapping by name, not {value!r}")
    return value


def _choice(kind: str, raw: object, name: str | None = None) -> PluginChoice:
    options = dict(_mapping(kind, raw))
    name = name or options.pop("name", None) or default(kind)
    if not isinstance(name, str):
        raise UsageError(f"{kind}: takes the name of a plugin, not {name!r}")
    return PluginChoice(name, options)


def _several(kind: str, key: str, raw: Raw) -> tuple[PluginChoice, ...]:
    chosen = _mapping(key, raw.pop(key))
    return tuple(_choice(kind, options or {}, name) for name, options in chosen.items() if options is not False)


def _phases(raw: Raw) -> tuple[Phase, ...]:
    phases = tuple(
        evolve(structure(_mapping(f"phases.{name}", phase), Phase, f"phases.{name}"), name=name)
        for name, phase in raw.items()
    )
    if not sum(phase.epochs for phase in phases):
        raise UsageError("phases: none of them has an epoch")
    return phases


def _rescaled(phases: tuple[Phase, ...], epochs: int | None) -> tuple[Phase, ...]:
    """Return the phases with `epochs` in all, in their proportions; rounded at their ends, so that none is lost."""
    if epochs is None:
        return phases
    total = sum(phase.epochs for phase in phases)
    ends = [0]
    for phase in phases:
        ends.append(ends[-1] + phase.epochs)
    rounded = [round(end * epochs / total) for end in ends]
    return tuple(
        evolve(phase, epochs=after - before) for phase, (before, after) in zip(phases, pairwise(rounded), strict=True)
    )
