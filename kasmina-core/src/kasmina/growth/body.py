"""A stranger's module, built and run so that it harms neither the host nor its random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.errors import PluginError
from kasmina.growth.candidates import Candidates
from kasmina.growth.rng import RngStream
from kasmina.growth.sites.find import BoundSite, Build
from kasmina.growth.sites.probe import untouched

Prepare = Callable[[nn.Module, torch.Generator], None]
"""Function that sets the first weights of a module, with a generator of the seed's own random numbers."""


class BodyRunner:
    """Runs the modules of one seed, each with the random numbers and the copies that it needs.

    Args:
        place: Site of the seed.
        stream: Random numbers of the seed.
    """

    def __init__(self, place: BoundSite, stream: RngStream) -> None:
        self.stream = stream
        self.draws: set[bool] = set()
        """Modes (`training` or not) in which a module draws random numbers."""
        self._place = place
        self._overwrites = False

    def forget(self) -> None:
        """Forget what the modules tried so far do."""
        self.draws.clear()
        self._overwrites = False

    def readable(self, x: Tensor, isolated: bool) -> Tensor:
        """Return `x` as the module may read it: detached if isolated, and a copy where somebody would overwrite it."""
        if isolated:
            x = x.detach()
        if self._place.copies or self._overwrites:
            x = x.clone()
        if self._place.site.kind == "sequence":
            # Of a transposed sequence torch rounds a linear map by whether its weights require gradients, as those of a
            # culled seed do no more: the output would jump.
            x = x.contiguous()
        return x

    def repeatable(self, training: bool) -> bool:
        """Return whether a call can be repeated: not if the host recomputes several calls that draw."""
        return not (training in self.draws and self._place.calls > 1 and _recomputes())

    def run(self, body: nn.Module, x: Tensor, training: bool) -> Any:
        """Return the output of the module for what is `readable`, with random numbers of the seed's own."""
        if training not in self.draws:
            return body(x)
        with self.stream.own(again=_recomputes()):
            return body(x)

    def try_out(self, body: nn.Module, blueprint: str) -> None:
        """Run the module on zeros in each mode, and note whether it draws random numbers or overwrites its input.

        Raises:
            PluginError: The module fails, or its output does not fit the site.
        """
        with untouched(body):
            for training in (True, False):
                x = self.zeros()
                version = x._version
                with self.stream.own(keep=False):
                    self._check(self._try(body.train(training), x, blueprint), blueprint)
                    if self.stream.drawn():
                        self.draws.add(training)
                self._overwrites |= x._version != version

    def zeros(self) -> Tensor:
        """Return two samples (2, *site.in_shape) of zeros, of the site's type and on its device."""
        return torch.zeros((2, *self._place.site.in_shape), device=self._place.device, dtype=self._place.dtype)

    def _try(self, body: nn.Module, x: Tensor, blueprint: str) -> Any:
        try:
            return body(x)
        except Exception as error:
            what = f"fails on {tuple(x.shape)} with {type(error).__name__}: {error}"
            raise self._unfit(blueprint, what) from error

    def _check(self, output: Any, blueprint: str) -> None:
        due, dtype = (2, *self._place.site.out_shape), self._place.dtype
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if came != due:
            raise self._unfit(blueprint, f"gives {came}, due is {due}")
        if output.dtype != dtype:
            raise self._unfit(blueprint, f"gives {output.dtype}, due is {dtype}")

    def _unfit(self, blueprint: str, what: str) -> PluginError:
        return PluginError(f"blueprint {blueprint!r} at site {self._place.site.name!r}: its module {what}")


def build_body(place: BoundSite, blueprint: str, build: Build, stream: RngStream, prepare: Prepare) -> nn.Module:
    """Return the module that a blueprint builds for a site, prepared, on the site's device and of its type.

    Raises:
        PluginError: The blueprint fails, or gives something other than a module.
    """
    with stream.own():
        try:
            body = build(place.site)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise PluginError(f"blueprint {blueprint!r} cannot build for {place.site.name!r}: {what}") from error
        if not isinstance(body, nn.Module):
            came = type(body).__name__
            raise PluginError(f"blueprint {blueprint!r}: build gave {came}, due is a torch.nn.Module")
        prepare(body.to(place.device, place.dtype), torch.default_generator)
    return body


def misfit(body: nn.Module | None, f: Any, h: Tensor) -> str | None:
    """Return what is wrong with the output `f` of a body that is added to `h`, so that nothing broadcasts unseen.

    The answer is the end of a sentence, and None if nothing is wrong.
    """
    alone = not isinstance(body, Candidates)
    if alone and f.__class__ is Tensor and f.shape == h.shape and f.dtype is h.dtype:
        return None  # the common case first, for less than half a microsecond
    if not isinstance(h, Tensor):
        return None  # `fx` traces the host: nothing has a shape
    due = (len(body.names), *h.shape) if isinstance(body, Candidates) else h.shape
    if not isinstance(f, Tensor):
        return f"gives {type(f).__name__}, due is a tensor {tuple(due)}"
    if f.shape != due:
        return f"gives {tuple(f.shape)}, due is {tuple(due)}"
    if f.dtype != h.dtype and not torch.is_autocast_enabled(h.device.type):  # else it is cast (`KeyPath.replaced`)
        return f"gives {f.dtype}, due is {h.dtype}"
    return None


def _recomputes() -> bool:
    """Return whether a backward pass is under way, so that a forward pass in it is a recomputation."""
    return torch._C._current_graph_task_id() != -1
