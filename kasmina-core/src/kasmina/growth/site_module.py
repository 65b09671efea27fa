"""A module at one site of a host: its hooks in the host's forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kasmina.errors import SeedError, UsageError
from kasmina.growth.blend import combine
from kasmina.growth.body import BodyRunner, misfit
from kasmina.growth.candidates import Candidates
from kasmina.growth.rng import RngStream
from kasmina.growth.sites.find import BoundSite
from kasmina.records import SeedState, Stage


class SiteModule(nn.Module):
    """Module that adds to the tensor of one site, by the rule of its stage (`kasmina.growth.blend.combine`).

    Args:
        place: Site at which it adds.
        body: Module that gives what is added.
        state: Record of it before it takes part in the forward pass.
        stream: Random numbers of its own.
    """

    alpha: Tensor

    def __init__(self, place: BoundSite, body: nn.Module, state: SeedState, stream: RngStream) -> None:
        super().__init__()
        self.place = place
        self.body = body.to(place.device, place.dtype)
        self.state = state
        """Record of what others may know of it; a new one at each change."""
        self.register_buffer("alpha", torch.zeros((), device=place.device))
        self.handles: list[RemovableHandle] = []
        """Handles of its hooks in the host's forward pass."""
        self._muted = False
        self._added: Tensor | None = None
        self._last_output: Tensor | None = None
        self._runner = BodyRunner(place, stream)

    def attach(self) -> None:
        """Put the module into the host's forward pass."""
        if self.place.source is not None:
            self.handles.append(self.place.source.register_forward_pre_hook(self._on_read, with_kwargs=True))
        self.handles.append(self.place.target.register_forward_hook(self._on_give))

    def detach(self) -> None:
        """Take the module out of the host's forward pass."""
        self._last_output = self._added = None
        while self.handles:
            self.handles.pop().remove()

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Run the host within it as if this module were not there."""
        self._muted = True
        try:
            yield
        finally:
            self._muted = False

    def _on_read(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # The body runs now and not when its output is due: what it reads may be overwritten in between.
        if not self._inactive():
            self._added = self._run(self.place.read(args, kwargs))

    def _on_give(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self._inactive():
            return None
        h = self.place.given(output)
        if self._added is None and self.place.source is not None:
            raise self._not_recomputable("one of its ends, and not the other, is in a part that the host recomputes")
        f, self._added = (self._run(h) if self._added is None else self._added), None
        # Past `nn.Module.__getattr__`, which takes half a microsecond.
        wrong = misfit(self._modules["body"], f, h)
        if wrong:
            raise self._failed(wrong)
        stage = self.state.stage
        if stage is Stage.TRAINING:
            self._record_output(f.detach())
        return self.place.replaced(output, combine(stage, self.alpha, h, f, self.place.copies))

    def _record_output(self, f: Tensor) -> None:
        """Keep what `Seed.finite` will look at: the last output, or where there are many calls the largest number."""
        if self.place.calls > 1:
            f = f.abs().flatten(1).amax(1, keepdim=True) if isinstance(self.body, Candidates) else f.abs().max()
            f = f if self._last_output is None else torch.maximum(f, self._last_output)
        self._last_output = f

    def _inactive(self) -> bool:
        return self._muted or (self.state.stage is Stage.TRAINING and not self.place.host.training)

    def _run(self, x: Tensor) -> Tensor:
        training = self.place.host.training
        if self.training is not training:
            self.train(training)
        x = self._runner.readable(x, isolated=self.state.stage is Stage.TRAINING)
        if not self._runner.repeatable(training):
            raise self._not_recomputable("its module draws random numbers, and the host recomputes several calls of it")
        try:
            return self._runner.run(self.body, x, training)  # type: ignore[no-any-return]
        except Exception as error:
            if type(error).__module__ == "torch.utils.checkpoint":
                raise  # the way in which it ends a recomputation that has come far enough
            raise self._failed(f"fails with {type(error).__name__}: {error}") from error

    def _not_recomputable(self, why: str) -> UsageError:
        return UsageError(f"site {self.place.site.name!r} cannot be used with gradient checkpointing: {why}")

    def _failed(self, what: str) -> SeedError:
        state = self.state
        at = f"seed {state.id} (blueprint {state.blueprint!r}, site {state.site!r}, {state.stage})"
        return SeedError(f"{at}: its module {what}", state.id)
