"""The hooks between Kasmina and its plugins, all in one place.

A plugin is an instance of an attrs class whose fields are its options. It implements any of the hooks below by methods
marked with ``@hookimpl``; a method may leave out arguments that it does not need. Plugins are called in the order of
the command line, the controller before the loggers. Hooks are of two kinds:

- *to all*: every plugin is called, answers are ignored;
- *first answer wins*: plugins are asked in turn until one returns something other than None.

An answer of the wrong type, or an argument that the hook does not have, is reported with the plugin's name and stops
the run. A logger that raises is reported once and switched off; a controller or blueprint that raises stops the run,
with everything saved.

Blueprints, hosts and tasks are called directly: :mod:`kasmina.protocols` has their methods, and the two by which any
plugin says what it remembers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from kasmina.records import (
    Event,
    Incident,
    Metrics,
    Observation,
    Phase,
    Predictions,
    Proposal,
    RunInfo,
    SeedState,
    Verdict,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

hookspec = pluggy.HookspecMarker("kasmina")
hookimpl = pluggy.HookimplMarker("kasmina")

# -- the course of a run: to all ---------------------------------------------------------------------------------------


@hookspec
def on_run_start(run: RunInfo) -> None:
    """Begin with a run, once its folder exists and host and data are ready; nothing is trained yet.

    Args:
        run: What stays the same throughout the run, a :class:`kasmina.RunInfo`.
    """


@hookspec
def on_phase_start(phase: Phase, run: RunInfo) -> None:
    """Begin with a phase, before its first step.

    Args:
        phase: The phase that begins, a :class:`kasmina.Phase`.
        run: What stays the same throughout the run, a :class:`kasmina.RunInfo`.
    """


@hookspec
def on_step_end(step: int) -> None:
    """Note the end of a training step. It costs time at every step: keep it short.

    Args:
        step: Number of the step, counted from 1 over the whole run.
    """


@hookspec
def on_epoch_end(observation: Observation) -> None:
    """Note the end of an epoch, one pass over the training split in any phase; decisions about growth come after it.

    Args:
        observation: What is known at the end of the epoch, a :class:`kasmina.Observation`.
    """


@hookspec
def on_seed_change(event: Event) -> None:
    """Note that a seed went from one stage to another; called exactly once for each change.

    Args:
        event: The change, its reason and the seed after it, a :class:`kasmina.Event`.
    """


@hookspec
def on_incident(incident: Incident) -> None:
    """Note that the run went back to its last good state, or that a proposal was over the budget.

    A controller is told of the refusal of its proposal before it is asked `wants_statistics`. An equal refusal (site,
    blueprint, reason) is told again only after some seed has changed its stage.

    Args:
        incident: What happened and why, a :class:`kasmina.Incident`.
    """


@hookspec
def on_run_end(run: RunInfo, summary: Mapping[str, Any]) -> None:
    """End with a run that finished, was stopped or failed.

    Args:
        run: What stayed the same throughout the run, a :class:`kasmina.RunInfo`.
        summary: Content of summary.json; `summary["status"]` says how the run ended.
    """


# -- decisions: the first answer wins ----------------------------------------------------------------------------------


@hookspec(firstresult=True)
def wants_statistics(observation: Observation) -> bool | None:
    """Return whether the need of every site is measured in the coming epoch.

    Asked at the end of each epoch of a phase that germinates. If True, the last batches of the next epoch are watched
    and the next observation has `need` for every site. If False, or if nobody answers, nothing is measured, and it
    costs nothing.

    Args:
        observation: What is known at the end of the epoch, a :class:`kasmina.Observation`.
    """


@hookspec(firstresult=True)
def propose_germination(observation: Observation) -> Proposal | None:
    """Return where a seed germinates now, and why, as a :class:`kasmina.Proposal`.

    Asked at the end of each epoch of a phase that germinates. If nobody answers, nothing germinates. A controller that
    never proposes leaves this hook out; a run in which no plugin implements it needs no sites.

    A proposal for a site that is not free is passed over. A proposal that takes more than `observation.remaining` is
    refused, which `on_incident` tells, and nothing germinates; of several blueprints or candidates, of which one will
    stay, the largest counts.

    Args:
        observation: What is known at the end of the epoch, a :class:`kasmina.Observation`.
    """


@hookspec(firstresult=True)
def blend_step(seed: SeedState, step: int) -> float | None:
    """Return the next alpha of a seed that is blending, between `seed.alpha` and 1.

    Asked after every training step. If nobody answers, alpha rises by the same amount at each step, over
    ``growth.blending`` epochs. When alpha reaches 1 the seed is on probation.

    Args:
        seed: The seed as it is now, a :class:`kasmina.SeedState`.
        step: Number of the step, counted from 1 within the blending.
    """


@hookspec(firstresult=True)
def judge_seed(seed: SeedState, observation: Observation) -> Verdict | None:
    """Return whether a seed stays, and why, as a :class:`kasmina.Verdict`.

    Asked at the end of the seed's probation. If nobody answers, a seed stays if its contribution is above zero.

    Args:
        seed: The seed, a :class:`kasmina.SeedState`; `seed.contribution` is how much the validation loss would rise
            without it.
        observation: What is known at the end of the epoch, a :class:`kasmina.Observation`.
    """


# -- records: to all ---------------------------------------------------------------------------------------------------


@hookspec
def log_metrics(metrics: Metrics, step: int) -> None:
    """Log the numbers of one epoch, after each epoch.

    Args:
        metrics: The numbers, a :class:`kasmina.Metrics`; `metrics.as_dict()` gives them by flat names, such as
            "train/loss" or "seed/1/alpha".
        step: Number of the epoch.
    """


@hookspec
def log_histograms(histograms: Mapping[str, np.ndarray[Any, Any]], step: int) -> None:
    """Log the values of every parameter of host and seeds, and its last gradient where it has one, every ten epochs.

    The values are gathered only if a plugin implements this hook.

    Args:
        histograms: Values by name, such as "weights/host/layers.0.weight" or "gradients/seed/1/0.bias".
        step: Number of the epoch.
    """


@hookspec
def log_network(network: nn.Module, sample: np.ndarray[Any, Any], step: int) -> None:
    """Log the network, when the run begins and after each epoch in which a seed germinated.

    It is made only if a plugin implements this hook, and not of a host whose forward pass cannot be written as a graph.

    Args:
        network: A copy in evaluation mode, of torch's own modules: every seed is a module next to the host's layers,
            also one that is still training.
        sample: Input of the network, scaled: (2, *in_shape).
        step: Number of the epoch.
    """


@hookspec
def log_predictions(predictions: Predictions, step: int) -> None:
    """Log the network's predictions, after each epoch in which a seed germinated and when the run ends.

    Those at the end are of the best epoch's network, and have the number of that epoch. They are made only if a
    plugin implements this hook.

    Args:
        predictions: Predictions for the validation split, a :class:`kasmina.Predictions`.
        step: Number of the epoch.
    """


@hookspec
def log_artifact(path: Path) -> None:
    """Log a file of the run's folder, after it was written for good.

    Args:
        path: The file, such as config.yaml, a profile, a checkpoint or summary.json.
    """
