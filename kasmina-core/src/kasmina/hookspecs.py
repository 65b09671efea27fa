"""The contract between Kasmina and its plugins, whole and in one place.

A plugin is an instance of an attrs class whose fields are its options. It implements any of the hooks below by methods
marked with ``@hookimpl``; a method may leave out arguments that it does not need. Plugins are called in the order of
the command line, the controller before the loggers. Hooks are of two kinds:

- *to all*: every plugin is called, answers are ignored;
- *first answer wins*: plugins are asked in turn until one returns something other than None.

An answer of the wrong type, or an argument that the hook does not have, is reported with the plugin's name and stops
the run. A logger that raises is reported once and switched off; a controller or blueprint that raises stops the run,
with everything saved.

Blueprints, hosts and tasks are called directly and not by hooks. They owe one method each:

- a blueprint: ``build(site: Site) -> torch.nn.Module``, a map from (batch, *site.in_shape) to (batch, *site.out_shape).
  It may also have ``fits(site: Site) -> str | None``: None where it can build, otherwise the reason in a clause, such
  as "attention needs a sequence, and the site is a vector". A run considers only the sites that its blueprint fits; a
  blueprint without `fits` fits all of them;
- a logger owes nothing, and may have ``prepare()``, which is called as soon as the run's plugins are made: what takes
  long may begin there, in a process or a thread of its own, while data and host are made ready;
- a host: ``build(in_shape: tuple[int, ...], outputs: int) -> torch.nn.Module``;
- a task: ``load() -> Data``.

So that a run can be resumed to the bit, and go back when something blew up, plugins are asked what they remember, and
are given it again after `on_run_start` and `on_phase_start`:

- any plugin may have ``state_dict()``, which gives a dict of plain values (None, bool, int, float, str), lists, dicts
  with text as keys, and torch tensors, and ``load_state_dict(state)``, which takes it back, as in torch. What is given
  passes through JSON: a tuple comes back as a list. Both are copies: nobody else changes them;
- a controller or a blueprint needs neither if all that it remembers is in attrs fields with ``init=False``: these are
  saved and put back by their declared types, which may be numbers, text, None, enums and attrs classes, and lists,
  tuples, sets and dicts with text as keys of them. Whatever else a field holds (a `random.Random`, a deque) wants the
  two methods; without them, or if they fail, the run goes on but cannot
  be resumed, and says so when it starts. A state that does not fit stops the run that would be resumed;
- a logger keeps what its two methods say and nothing else. If one of them raises, that is reported once, the logger
  stays on, and the run goes on.

A host or a task that is not installed is named ``package.module:callable`` and may be a plain callable: a host's is
called with `in_shape`, `outputs` and its options as keywords, a task's with its options.
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
    """The run's folder exists, host and data are ready, nothing is trained yet."""


@hookspec
def on_phase_start(phase: Phase, run: RunInfo) -> None:
    """A phase begins."""


@hookspec
def on_step_end(step: int) -> None:
    """One training step is done; `step` counts from 1 over the whole run. Costs time at every step: keep it short."""


@hookspec
def on_epoch_end(observation: Observation) -> None:
    """One pass over the training split is done, in any phase; decisions about growth come after it."""


@hookspec
def on_seed_change(event: Event) -> None:
    """A seed went from one stage to another; exactly one event for each change."""


@hookspec
def on_incident(incident: Incident) -> None:
    """The run went back to its last good state, or a proposal was over the budget.

    A controller is told of the refusal of its proposal before it is asked `wants_statistics`. An equal refusal (site,
    blueprint, reason) is told again only once some seed has changed its stage.
    """


@hookspec
def on_run_end(run: RunInfo, summary: Mapping[str, Any]) -> None:
    """The run finished, was stopped or failed (`summary["status"]`); `summary` is what summary.json holds."""


# -- decisions: the first answer wins ----------------------------------------------------------------------------------


@hookspec(firstresult=True)
def wants_statistics(observation: Observation) -> bool | None:
    """Shall the need of every site be measured in the coming epoch?

    Asked at the end of each epoch of a phase that germinates. If True, the last batches of the next epoch are watched
    and the next observation has `need` for every site; otherwise nothing is measured and nothing is paid.
    """


@hookspec(firstresult=True)
def propose_germination(observation: Observation) -> Proposal | None:
    """Where shall a seed germinate now, and why? None: nowhere.

    Asked at the end of each epoch of a phase that germinates. A controller that never proposes leaves this hook out; a
    run in which no plugin implements it needs no sites. A proposal for a site that is not free is passed over.
    One that takes more than `observation.remaining` is refused, which `on_incident` tells, and nothing germinates; of
    several blueprints or candidates, of which one will stay, the largest counts.
    """


@hookspec(firstresult=True)
def blend_step(seed: SeedState, step: int) -> float | None:
    """The next alpha of a seed that is blending, from `seed.alpha` to 1; `step` counts from 1 within the blending.

    Called after every training step. If nobody answers, alpha rises by the same amount at each step, over
    ``growth.blending`` epochs. When alpha reaches 1 the seed is on probation.
    """


@hookspec(firstresult=True)
def judge_seed(seed: SeedState, observation: Observation) -> Verdict | None:
    """Does this seed, at the end of its probation, stay? `seed.contribution`: how much the validation loss would rise.

    If nobody answers, a seed stays if its contribution is above zero.
    """


# -- records: to all ---------------------------------------------------------------------------------------------------


@hookspec
def log_metrics(metrics: Metrics, step: int) -> None:
    """Log the numbers of one epoch.

    `metrics.as_dict()` gives them by flat names, such as "train/loss" or "seed/1/alpha"; `step` is the epoch.
    """


@hookspec
def log_histograms(histograms: Mapping[str, np.ndarray[Any, Any]], step: int) -> None:
    """The values of every parameter of host and seeds, and its last gradient where it has one, every ten epochs.

    By name: "weights/host/layers.0.weight", "gradients/seed/1/0.bias". Gathered only if a plugin implements this hook;
    `step` is the epoch.
    """


@hookspec
def log_network(network: nn.Module, sample: np.ndarray[Any, Any], step: int) -> None:
    """The network as modules of torch's own, as the run begins and after each epoch in which a seed germinated.

    A copy in evaluation mode, with every seed as a module of its own beside the host's layers, one that is still
    training too, as it will be. `sample` (2, *in_shape), scaled, is what it takes. Made only if a plugin implements
    this hook, and not of a host whose forward cannot be written down as a graph; `step` is the epoch.
    """


@hookspec
def log_predictions(predictions: Predictions, step: int) -> None:
    """What the network makes of the validation split, after each epoch in which a seed germinated and when the run
    ends.

    Made only if a plugin implements this hook; `step` is the epoch.
    """


@hookspec
def log_artifact(path: Path) -> None:
    """A file of the run's folder was written for good (config.yaml, a profile, a checkpoint, summary.json)."""
