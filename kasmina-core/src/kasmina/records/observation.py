"""Records of growth: where seeds can grow, what a controller sees and answers, and what became of the seeds."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import attrs
from attrs import frozen, validators

Kind = Literal["vector", "sequence", "image"]


class Stage(StrEnum):
    """Stage of a seed's life."""

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
    of B). Shapes are those of one sample, without the batch: (F) for a vector, (T, F) for a sequence, (C, H, W) for an
    image.
    """

    name: str
    kind: Kind
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    size: int = 0
    """Number of parameters that a new seed should have here, at most by a blueprint's own rounding.

    As many as there are between the tensor read and the tensor added to, living seeds included, times the `size` of the
    proposal. It is 0 where nobody has asked, and a blueprint then chooses by the widths alone.
    """

    @property
    def in_features(self) -> int:
        """Width of the tensor that a seed reads: F, or C of an image."""
        return self.in_shape[0 if self.kind == "image" else -1]

    @property
    def out_features(self) -> int:
        """Width of the tensor that a seed adds to: F, or C of an image."""
        return self.out_shape[0 if self.kind == "image" else -1]


@frozen
class SeedState:
    """A seed as seen from outside, at one moment."""

    id: int
    site: str
    blueprint: str
    stage: Stage
    alpha: float
    parameters: int
    germinated_at: int
    """Epoch of the germination, counted from 1 over the whole run."""
    active_at: int | None = None
    """Epoch in which the seed became active; None if it has not."""
    contribution: float | None = None
    """Rise of the validation loss without the seed; None until it is measured."""


@frozen
class SiteState:
    """A site as a controller sees it."""

    site: Site
    free: bool
    """Whether a germination here would be accepted: no other seed is on its way, and the site is not cooling down."""
    need: float | None = None
    """First-order decrease of the loss, per unit of step, that a layer of random neurons could bring here.

    Measured only when a controller asks for it by `wants_statistics`.
    """


@frozen
class Remaining:
    """Rest of a run's budget; None where there is no limit."""

    seeds: int | None = None
    """Number of further seeds that may live."""
    parameters: int | None = None
    """Number of further parameters that host and seeds may have together."""
    multiply_adds: int | None = None
    """Number of further multiply-adds that the forward pass of one sample may take."""


@frozen
class Observation:
    """Everything that a controller may know at the end of an epoch. Nothing in it comes from the test split."""

    phase: str
    epoch: int
    """Number of finished epochs, counted over the whole run."""
    step: int
    epochs_left: int
    """Number of epochs that are left of the present phase."""
    train_loss: float
    """Mean of the batch losses of the epoch, as they were trained on."""
    validation_loss: float
    validation_metric: float
    metric: str
    target: float | None
    """Value of the metric at which the task counts as solved, if the task has one."""
    parameters: int
    sites: tuple[SiteState, ...]
    seeds: tuple[SeedState, ...]
    remaining: Remaining = Remaining()
    """Rest of the budget. A proposal over it is refused, and `on_incident` says so."""
    constant_loss: float | None = None
    """Validation loss of a predictor that answers every sample alike: with the frequencies of the classes of the train
    split, or with its mean. None where it is unknown, as in a loop of one's own (`kasmina.attach`)."""


def _plain_text(value: Any) -> Any:
    """Return text as it can be saved: a name may be of a class of its own, as numpy's are."""
    return str(value) if isinstance(value, str) else value


@frozen
class Proposal:
    """A controller's wish: a seed at this site, made by this blueprint, and why."""

    site: str = attrs.field(converter=_plain_text, validator=validators.instance_of(str))
    """Name of the site, such as ``observation.sites[0].site.name``."""
    reason: str = attrs.field(default="", converter=_plain_text)
    blueprint: str | None = attrs.field(default=None, converter=_plain_text)
    """Name of the blueprint; None leaves the choice to the run, which takes the best of its blueprints."""
    size: float = attrs.field(default=1.0, validator=validators.gt(0))
    """Wished number of the seed's parameters, as a share of those that are at the site already: 1 doubles them."""


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
    """State of the seed after the change."""
    before: Stage
    reason: str


@frozen
class Incident:
    """Something that happened to a run, apart from the changes of its seeds' stages."""

    epoch: int
    step: int
    phase: str
    kind: Literal["rollback", "refusal"]
    """Kind of the incident.

    A rollback: the governor saw a fault, and the run went back to its last good state, whose `epoch` and `step` these
    are. A refusal: a proposal was over the budget.
    """
    reason: str
    """Sentence about the cause, such as "the training loss is nan at step 105"."""
    action: str = ""
    """Sentence about what was done, if anything was."""
    site: str | None = None
    seed: int | None = None
    """Id of the seed that was culled because of it, if one was."""
