"""How much a seed could help at each site, measured on the gradients of ordinary training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define, field
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kasmina.growth.site import Place
from kasmina.records import Kind

NEURONS = 64
ROWS = 1024


@define
class _Sample:
    """What passed at one site, in rows: what a seed would read, what the target already reads, dL/d(output)."""

    read: list[Tensor] = field(factory=list)
    has: list[Tensor] = field(factory=list)
    slope: dict[int, Tensor] = field(factory=dict)
    """By the number of the passage: gradients come in the reverse order of calls, and not to every one."""

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        passed = sorted(self.slope)
        parts = [self.read[n] for n in passed], [self.has[n] for n in passed], [self.slope[n] for n in passed]
        read, has, slope = map(torch.cat, parts)
        return read, has, slope


class Watch:
    """Gathers, from forward and backward passes that happen anyway, the need of each site.

    Put on by `start`, taken off by `needs`; changes nothing that it sees. The loss must be a mean over the batch.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._samples = {name: _Sample() for name in places}
        self._handles: list[RemovableHandle] = []

    def start(self) -> None:
        for name, place in self._places.items():
            self._watch(self._samples[name], place)

    def needs(self) -> dict[str, float]:
        """Takes the hooks off; the need of every site (`need`)."""
        while self._handles:
            self._handles.pop().remove()
        return {name: need(*sample.rows()) for name, sample in self._samples.items() if sample.slope}

    def _watch(self, sample: _Sample, place: Place) -> None:
        kind = place.site.kind

        def on_read(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            sample.read.append(_rows(place.read(args, kwargs), kind))

        def on_give(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            h = place.given(output)
            number = len(sample.has)
            if place.source is None:
                sample.read.append(_rows(h, kind))
            sample.has.append(_has(place, args, h))
            if h.requires_grad:
                h.register_hook(  # type: ignore[no-untyped-call]
                    lambda slope: sample.slope.__setitem__(number, _rows(slope * len(slope), kind))
                )

        if place.source is not None:
            self._handles.append(place.source.register_forward_pre_hook(on_read, with_kwargs=True))
        self._handles.append(place.target.register_forward_hook(on_give))


def need(read: Tensor, has: Tensor, slope: Tensor) -> float:
    """First-order decrease of the loss, per unit of step, that a layer of random ReLU neurons could bring.

    Of the wished change -`slope` (n, out) of the target's output, the part that the target can make by itself from
    what it `has` (n, k) is left out; of the rest, the part that `NEURONS` random neurons on `read` (n, in) explain, by
    ridge regression, is summed in squares and divided by n. Large where much is wished that a seed could do and the
    host could not.
    The expressivity bottleneck of Verbockhaven et al., "Growing Tiny Networks" (2024), eq. 6, by random features.
    """
    read, has, slope = (rows[:ROWS].double() for rows in (read, has, slope))
    n = len(slope)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(read.shape[1] + 1, NEURONS, generator=generator, dtype=torch.float64).to(read.device)
    read = (read - read.mean(0)) / (read.std(0) + 1e-6)
    neurons = torch.relu(torch.cat([read / read.shape[1] ** 0.5, torch.ones_like(read[:, :1])], 1) @ weights)
    basis = torch.linalg.qr(torch.cat([torch.ones_like(has[:, :1]), has], 1))[0]
    neurons, slope = (rows - basis @ (basis.T @ rows) for rows in (neurons, slope))
    gram = neurons.T @ neurons
    ridge = 1e-2 * gram.diagonal().mean() + 1e-12
    cross = neurons.T @ slope
    solved = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), cross)
    return max(0.0, float((cross * solved).sum()) / n)


def _has(place: Place, args: tuple[Any, ...], h: Tensor) -> Tensor:
    """Rows of what `target` reads, beside those of `h` (batch first) that it gives; `h` itself if they do not match."""
    given, kind = _rows(h, place.site.kind), place.site.kind
    if not args or not isinstance(args[0], Tensor) or args[0].dim() != h.dim() or not args[0].is_floating_point():
        return given
    read = _rows(args[0].movedim(place.gives.batch, 0), kind)
    return read if len(read) == len(given) else given


def _rows(tensor: Tensor, kind: Kind) -> Tensor:
    """One row a position: (B, F) as it is, (B, T, F) to (B*T, F), (B, C, H, W) to (B*H*W, C)."""
    tensor = tensor.detach()
    if kind == "image":
        tensor = tensor.movedim(1, -1)
    return tensor.flatten(0, -2).clone() if tensor.dim() > 2 else tensor.clone()
