"""A seed: one module at one site, its stage, its alpha, and what it does to the host's forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kasmina.errors import PluginError, SeedError, UsageError
from kasmina.growth.candidates import Candidates
from kasmina.growth.health import is_sound
from kasmina.growth.rng import RngStream
from kasmina.growth.sites.find import BoundSite
from kasmina.growth.sites.probe import untouched
from kasmina.records import SeedState, Stage

LEGAL: dict[Stage, frozenset[Stage]] = {
    Stage.DORMANT: frozenset({Stage.TRAINING}),
    Stage.TRAINING: frozenset({Stage.BLENDING, Stage.CULLED}),
    Stage.BLENDING: frozenset({Stage.PROBATION, Stage.CULLED}),
    Stage.PROBATION: frozenset({Stage.ACTIVE, Stage.CULLED}),
    Stage.ACTIVE: frozenset({Stage.CULLED}),
    Stage.CULLED: frozenset(),
}


class Incubate(torch.autograd.Function):
    """Gives `h` as it is, and hands its gradient to `h` and to `f` alike.

    Written as ``h + (f - f.detach())`` an inf in `f` would poison the host.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, f: Tensor, copies: bool) -> Tensor:
        return h.clone() if copies else h.view_as(h)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
        ctx.shape = inputs[1].shape  # of one seed as of `h`; of several side by side with one dimension before

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], gradients[0].expand(ctx.shape), None


class Seed(nn.Module):
    """One module that grows at one place.

    The stage decides the forward pass at the site, with `h` the tensor added to, `x` the one read and `f` the body:
    training: exactly `h`, and `f` gets the gradient as if alpha were 1; blending, and fading after a late cull:
    ``h + alpha * f(x)``; probation and active: ``h + f(x)``.
    """

    alpha: Tensor

    def __init__(
        self,
        id: int,
        place: BoundSite,
        body: nn.Module,
        blueprint: str,
        epoch: int,
        stream: RngStream,
        alternatives: Sequence[tuple[str, nn.Module]] = (),
    ) -> None:
        super().__init__()
        self.id = id
        self.place = place
        self.body = body.to(place.device, place.dtype)
        self.blueprint = blueprint
        self.stage = Stage.DORMANT
        self.steps = 0
        """Training steps spent in the present stage."""
        self.germinated_at = epoch
        self.active_at: int | None = None
        self.contribution: float | None = None
        self.spoiled = False
        """Whether it is culled because something of it is not finite."""
        self.register_buffer("alpha", torch.zeros((), device=place.device))
        self._level = 0.0
        self._muted = False
        self._added: Tensor | None = None
        self.handles: list[RemovableHandle] = []
        """Of its hooks in the host's forward pass."""
        self._gave: Tensor | None = None
        self._stream = stream
        self._draws: set[bool] = set()
        """Modes (`training` or not) in which the body draws random numbers."""
        self._overwrites = False
        """Whether the body changes in place what it reads."""
        self.train()
        self._try_out(self.body)
        if alternatives:
            self._meet(alternatives)

    @property
    def level(self) -> float:
        """Alpha as a plain number, so that reading it never waits for the device."""
        return self._level

    @level.setter
    def level(self, value: float) -> None:
        self._level = value
        self.alpha.fill_(value)

    @property
    def state(self) -> SeedState:
        return SeedState(
            id=self.id,
            site=self.place.site.name,
            blueprint=self.blueprint,
            stage=self.stage,
            alpha=self._level,
            parameters=sum(parameter.numel() for parameter in self.body.parameters()),
            germinated_at=self.germinated_at,
            active_at=self.active_at,
            contribution=self.contribution,
        )

    def get_extra_state(self) -> dict[str, Any]:
        """What the seed is besides its weights: part of its `state_dict`, and enough to make it again (`revive`)."""
        return {
            "id": self.id,
            "site": self.place.site.name,
            "blueprints": self.body.names if isinstance(self.body, Candidates) else [self.blueprint],
            "stage": self.stage.value,
            "steps": self.steps,
            "level": self._level,
            "germinated_at": self.germinated_at,
            "active_at": self.active_at,
            "contribution": self.contribution,
            # Only of a body that draws random numbers: those of building it are drawn again when it is built again.
            "stream": self._stream.state_dict() if self._draws else None,
            # Of one call a forward pass, the next pass replaces it before anybody looks.
            "gave": self._gave if self.place.calls > 1 else None,
            "aside": dict(_aside(self.body)),
        }

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Takes over what `get_extra_state` gave; id, site and blueprints are those that the seed was made with."""
        self.stage = Stage(state["stage"])
        self.steps = state["steps"]
        self.level = state["level"]
        self.active_at = state["active_at"]
        self.contribution = state["contribution"]
        self._gave = state["gave"]
        if state["stream"]:
            self._stream.load_state_dict(state["stream"])
        for name, buffer in state["aside"].items():
            self.body.get_buffer(name).copy_(buffer)

    @property
    def finite(self) -> bool:
        """Whether the weights are finite, and what the seed gave last while it trained. Waits for the device."""
        return _finite(self) and (self._gave is None or bool(self._gave.isfinite().all()))

    @property
    def sound(self) -> bool:
        """Whether weights and gradients are finite; where it is undecided, of one candidate. Waits for the device."""
        return any(self.body.sound()) if isinstance(self.body, Candidates) else all(map(is_sound, self.parameters()))

    def attach(self) -> None:
        """Puts the seed into the host's forward pass."""
        if self.place.source is not None:
            self.handles.append(self.place.source.register_forward_pre_hook(self._on_read, with_kwargs=True))
        self.handles.append(self.place.target.register_forward_hook(self._on_give))

    def detach(self) -> None:
        """Takes the seed out of the host's forward pass."""
        self._gave = self._added = None
        while self.handles:
            self.handles.pop().remove()

    @contextmanager
    def muted(self) -> Iterator[None]:
        """The host's forward pass as if this seed were not there."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    @property
    def undecided(self) -> bool:
        """Whether several candidates learn side by side, and one of them will be the seed."""
        return isinstance(self.body, Candidates)

    @property
    def candidates(self) -> list[tuple[str, nn.Module]]:
        """Blueprints and modules of those candidates of which all is finite, as `finite` has it."""
        assert isinstance(self.body, Candidates)
        members = zip(self.body.names, self.body.bodies(), strict=True)
        gave = [True] * len(self.body.names)
        if self._gave is not None:
            gave = self._gave.flatten(1).isfinite().all(1).tolist()
        return [(name, body) for (name, body), fine in zip(members, gave, strict=True) if fine and _finite(body)]

    @contextmanager
    def tried(self, body: nn.Module) -> Iterator[None]:
        """The host's forward pass as if the seed were this module, and wholly blended in."""
        kept = self.body, self.stage
        self.body, self.stage = body.train(self.training), Stage.PROBATION
        try:
            yield
        finally:
            self.body, self.stage = kept

    def become(self, blueprint: str, body: nn.Module) -> None:
        """The seed is one of its candidates from now on."""
        self.blueprint, self.body = blueprint, body.train(self.training)
        # These were of all of them.
        self._gave, self._overwrites = None, False
        self._draws.clear()
        self._try_out(self.body)

    def _on_read(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # The body runs now and not when its output is due: what it reads may be overwritten in between.
        if not self._silent():
            self._added = self._run(self.place.read(args, kwargs))

    def _on_give(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self._silent():
            return None
        h = self.place.given(output)
        if self._added is None and self.place.source is not None:
            raise self._refused("one of its ends, and not the other, is in a part that the host recomputes")
        f, self._added = (self._run(h) if self._added is None else self._added), None
        return self.place.replaced(output, self._joined(h, f))

    def _joined(self, h: Tensor, f: Tensor) -> Tensor:
        self._fit(h, f)
        if self.stage is Stage.TRAINING:
            self._note(f.detach())
            return Incubate.apply(h, f, self.place.copies)  # type: ignore[no-any-return, no-untyped-call]
        if self.stage in (Stage.PROBATION, Stage.ACTIVE):
            return h + f
        return h + self.alpha * f

    def _fit(self, h: Tensor, f: Any) -> None:
        """What the body gave is of the shape and the type of what it is added to: nothing broadcasts in silence."""
        # The common case first, past `nn.Module.__getattr__`, for less than half a microsecond.
        body = self._modules["body"]
        alone = not isinstance(body, Candidates)
        if alone and f.__class__ is Tensor and f.shape == h.shape and f.dtype is h.dtype:
            return
        if not isinstance(h, Tensor):
            return  # `fx` traces the host: nothing has a shape
        due = (len(body.names), *h.shape) if isinstance(body, Candidates) else h.shape
        if not isinstance(f, Tensor):
            raise self._failed(f"gives {type(f).__name__}, due is a tensor {tuple(due)}")
        if f.shape != due:
            raise self._failed(f"gives {tuple(f.shape)}, due is {tuple(due)}")
        if f.dtype != h.dtype and not torch.is_autocast_enabled(h.device.type):  # else it is cast (`Part.replaced`)
            raise self._failed(f"gives {f.dtype}, due is {h.dtype}")

    def _note(self, f: Tensor) -> None:
        """Keeps what `finite` will look at: the last output, or where there are many calls the largest number."""
        if self.place.calls > 1:
            f = f.abs().flatten(1).amax(1, keepdim=True) if self.undecided else f.abs().max()
            f = f if self._gave is None else torch.maximum(f, self._gave)
        self._gave = f

    def _silent(self) -> bool:
        return self._muted or (self.stage is Stage.TRAINING and not self.place.host.training)

    def _run(self, x: Tensor) -> Tensor:
        training = self.place.host.training
        if self.training is not training:
            self.train(training)
        if self.stage is Stage.TRAINING:
            x = x.detach()
        if self.place.copies or self._overwrites:
            x = x.clone()
        if self.place.site.kind == "sequence":
            # Of a transposed sequence torch rounds a linear map by whether its weights require gradients, as those of a
            # culled seed do no more: the output would jump.
            x = x.contiguous()
        draws = training in self._draws
        again = draws and torch._C._current_graph_task_id() != -1  # in a backward pass, so this is a recomputation
        if again and self.place.calls > 1:
            raise self._refused("its module draws random numbers, and the host recomputes several calls of it")
        try:
            if draws:
                with self._stream.own(again=again):
                    return self.body(x)  # type: ignore[no-any-return]
            return self.body(x)  # type: ignore[no-any-return]
        except Exception as error:
            if type(error).__module__ == "torch.utils.checkpoint":
                raise  # the way in which it ends a recomputation that has come far enough
            raise self._failed(f"fails with {type(error).__name__}: {error}") from error

    def _meet(self, alternatives: Sequence[tuple[str, nn.Module]]) -> None:
        """Puts candidates side by side in the place of the body."""
        members = [(self.blueprint, self.body)]
        for self.blueprint, alternative in alternatives:  # the name is for the messages of those that do not fit
            members.append((self.blueprint, alternative.to(self.place.device, self.place.dtype).train()))
            self._try_out(alternative)
        self.blueprint = " or ".join(dict.fromkeys(name for name, _ in members))
        with self._stream.own(keep=False):
            self.body = Candidates(members, self._zeros())

    def _zeros(self) -> Tensor:
        return torch.zeros((2, *self.place.site.in_shape), device=self.place.device, dtype=self.place.dtype)

    def _try_out(self, body: nn.Module) -> None:
        """Runs the body in each mode: does its output fit, does it draw random numbers, does it overwrite?"""
        with untouched(body):
            for training in (True, False):
                x = self._zeros()
                version = x._version
                with self._stream.own(keep=False):
                    self._check(self._answer(body.train(training), x))
                    if self._stream.drawn():
                        self._draws.add(training)
                self._overwrites |= x._version != version

    def _answer(self, body: nn.Module, x: Tensor) -> Any:
        try:
            return body(x)
        except Exception as error:
            raise self._unfit(f"fails on {tuple(x.shape)} with {type(error).__name__}: {error}") from error

    def _check(self, output: Any) -> None:
        due, dtype = (2, *self.place.site.out_shape), self.place.dtype
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if came != due:
            raise self._unfit(f"gives {came}, due is {due}")
        if output.dtype != dtype:
            raise self._unfit(f"gives {output.dtype}, due is {dtype}")

    def _refused(self, why: str) -> UsageError:
        return UsageError(f"site {self.place.site.name!r} cannot be used with gradient checkpointing: {why}")

    def _failed(self, what: str) -> SeedError:
        at = f"seed {self.id} (blueprint {self.blueprint!r}, site {self.place.site.name!r}, {self.stage})"
        return SeedError(f"{at}: its module {what}", self.id)

    def _unfit(self, what: str) -> PluginError:
        return PluginError(f"blueprint {self.blueprint!r} at site {self.place.site.name!r}: its module {what}")


def revive(state: Mapping[str, Any], place: BoundSite) -> Seed:
    """The seed of which this is the `state_dict`, built anew; not yet in the host's forward pass.

    Args:
        place: its site, with the builder of its module, or those of its candidates.

    Raises:
        KeyError, RuntimeError: the state is of another module than the blueprint builds now.
    """
    facts = state["_extra_state"]
    stream = RngStream(place.device, 0)
    with stream.own():
        first, *alternatives = [(name, place.builders[name](place.site)) for name in facts["blueprints"]]
    seed = Seed(facts["id"], place, first[1], first[0], facts["germinated_at"], stream, alternatives)
    seed.load_state_dict(state)
    return seed


def _aside(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The buffers that are in no `state_dict`, by name; a module may have drawn them when it was built."""
    for path, part in module.named_modules():
        for name in sorted(part._non_persistent_buffers_set):
            if (buffer := part._buffers[name]) is not None:
                yield f"{path}.{name}".lstrip("."), buffer


def _finite(module: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())
