"""The frozen records that cross borders: what plugins are told, and what they answer.

Plain numbers and names only, so that a controller can be tested, replayed and trained without a network, and a
plugin's author needs no torch to import them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import frozen, validators

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["vector", "sequence", "image"]
Goal = Literal["classification", "regression"]


class Stage(StrEnum):
    """Where a seed stands in its life."""

    DORMANT = "dormant"
    TRAINING = "training"
    BLENDING = "blending"
    PROBATION = "probation"
    ACTIVE = "active"
    CULLED = "culled"


@frozen
class Site:
    """A place in the host where a seed can grow: the tensor that a seed reads and the tensor that it adds to.

    `name` is ``"M"`` (reads and adds to the output of module M) or ``"A:B"`` (reads the input of A, adds to the output
    of B). Shapes are of one sample, without the batch: (F) for a vector, (T, F) for a sequence, (C, H, W) for an image.
    """

    name: str
    kind: Kind
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    @property
    def in_features(self) -> int:
        """Width of what a seed reads: F, or C of an image."""
        return self.in_shape[0 if self.kind == "image" else -1]

    @property
    def out_features(self) -> int:
        """Width of what a seed adds to: F, or C of an image."""
        return self.out_shape[0 if self.kind == "image" else -1]


@frozen
class SeedState:
    """A seed as seen from outside, at one moment. `contribution`: the rise of the validation loss without the seed."""

    id: int
    site: str
    blueprint: str
    stage: Stage
    alpha: float
    parameters: int
    germinated_at: int
    """Epoch, counted from 1 over the whole run."""
    active_at: int | None = None
    contribution: float | None = None


@frozen
class SiteState:
    """A site as a controller sees it. `need` is measured only when a controller asks (`wants_statistics`)."""

    site: Site
    free: bool
    """No seed is on its way here: a germination would be accepted."""
    need: float | None = None
    """First-order decrease of the loss, per unit of step, that a layer of random neurons could bring here."""


@frozen
class Remaining:
    """What is left of a run's budget; None where there is no limit."""

    seeds: int | None = None
    """How many more may live."""
    parameters: int | None = None
    """How many more host and seeds may have together."""
    multiply_adds: int | None = None
    """How many more the forward pass of one sample may take."""


@frozen
class Observation:
    """What a controller may know at the end of an epoch. Nothing in it comes from the test split."""

    phase: str
    epoch: int
    """Finished epochs, counted from 1 over the whole run."""
    step: int
    epochs_left: int
    """Of the present phase."""
    train_loss: float
    """Mean over the epoch's batches, as they were trained on."""
    validation_loss: float
    validation_metric: float
    metric: str
    target: float | None
    """The metric's value at which the task counts as solved, if the task has one."""
    parameters: int
    sites: tuple[SiteState, ...]
    seeds: tuple[SeedState, ...]
    remaining: Remaining = Remaining()
    """What the budget still allows. A proposal over it is refused, and `on_incident` says so."""


@frozen
class Proposal:
    """A controller's wish: a seed at this site, of this blueprint (None: whichever of the run's is best), and why."""

    site: str = attrs.field(validator=validators.instance_of(str))
    """The site's name, such as ``observation.sites[0].site.name``."""
    reason: str = ""
    blueprint: str | None = None


@frozen
class Verdict:
    """A controller's judgement of a seed on probation."""

    keep: bool
    reason: str = ""


@frozen
class Event:
    """One change of a seed's stage."""

    epoch: int
    step: int
    phase: str
    seed: SeedState
    """As it is after the change."""
    before: Stage
    reason: str


@frozen
class Incident:
    """Something that befell a run, besides the changes of its seeds' stages."""

    epoch: int
    step: int
    phase: str
    kind: Literal["rollback", "refusal"]
    """A rollback: the governor saw a fault, and the run went back to its last good state, which `epoch` and `step` are
    of. A refusal: a proposal was over the budget."""
    reason: str
    """What was seen, such as "the training loss is nan at step 105"."""
    action: str = ""
    """What was done about it, if anything was."""
    site: str | None = None
    seed: int | None = None
    """The id of the seed that it cost, if it cost one."""


@frozen
class Phase:
    """A stretch of the run with its own rules."""

    epochs: int = attrs.field(validator=validators.ge(0))
    germinate: bool = True
    """Whether controllers are asked for germinations."""
    decay: Literal["constant", "cosine"] = "constant"
    """What the learning rate does within the phase: stays, or falls to 2 % of itself by a half cosine."""
    name: str = attrs.field(default="", kw_only=True)


@frozen
class RunInfo:
    """What stays the same throughout a run."""

    name: str
    folder: Path
    task: str
    host: str
    controller: str
    blueprint: str
    seed: int
    device: str
    goal: Goal
    metric: str
    target: float | None
    in_shape: tuple[int, ...]
    outputs: int
    parameters: int
    """Of the host, before any growth."""
    sites: tuple[Site, ...]
    phases: tuple[Phase, ...]
    steps_per_epoch: int
    config: Mapping[str, Any]
    """Every option that had a say, as in config.yaml."""
    alternatives: tuple[str, ...] = ()
    """Further blueprints, which compete with the first at each germination."""
    resumed_at: int | None = None
    """The step from which an earlier process's run goes on; None: it begins."""
    classes: tuple[str, ...] = ()
    """Names of what is told apart; none for a regression."""
    features: tuple[str, ...] = ()
    """Names of a vector's numbers, if the task has any."""
    digest: str = ""
    """Of the task's data: the same for the same data only."""
    rows: Mapping[str, int] = attrs.field(factory=dict)
    """Of the splits "train", "validation" and "test"."""

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)


@frozen(eq=False)
class Plane:
    """What the network gives all over a plane, for a task whose samples are two numbers."""

    x: np.ndarray[Any, Any]
    """(W,), rising, in the units of the task."""
    y: np.ndarray[Any, Any]
    """(H,), rising."""
    outputs: np.ndarray[Any, Any]
    """(H, W, outputs), as `Predictions.outputs`."""


@frozen(eq=False)
class Predictions:
    """What the network makes of samples of the validation split, at one moment."""

    x: np.ndarray[Any, Any]
    """(N, *in_shape), as the task loads them."""
    y: np.ndarray[Any, Any]
    """As `Data.y`: (N,) of class indices, or (N, outputs) in the units of the task."""
    outputs: np.ndarray[Any, Any]
    """(N, outputs): probabilities of the classes, or values in the units of the task."""
    activations: Mapping[str, np.ndarray[Any, Any]]
    """By site, of those at which seeds live: (N, features) of the tensor that they add to, seeds included; the mean
    over the positions of a sequence or an image."""
    classes: tuple[str, ...] = ()
    plane: Plane | None = None


@frozen(eq=False)
class Data:
    """What a task yields: samples `x` (N, *in_shape) in float, and targets `y`.

    For classification `y` is (N,) of class indices and `classes` holds their names; for regression (N, outputs) of
    float, and `classes` is empty. `target` is the value of the metric (accuracy, or R²) that counts as solved.
    `features` names the numbers of samples that are vectors (N, F), if they have names.
    """

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    goal: Goal
    classes: tuple[str, ...] = ()
    target: float | None = None
    features: tuple[str, ...] = ()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        return len(self.classes) if self.goal == "classification" else int(self.y.shape[1])
