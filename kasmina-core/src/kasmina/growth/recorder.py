"""What passed at each site in ordinary training, and how much a seed could help there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from attrs import asdict, define, evolve, field, frozen
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kasmina.growth.sites.find import BoundSite
from kasmina.records import Kind, Site

NEURONS = 64
ROWS = 1024
FEWEST = 32
"""Samples that are kept at least, however many rows each of them has."""


@frozen(eq=False)
class SiteSample:
    """What passed at one site in ordinary training, for the first samples of some batches."""

    read: Tensor
    """What a seed reads: (N, *site.in_shape)."""
    has: Tensor
    """What the target module reads, (N, ...), or `read` where that is no tensor of the same dimensions."""
    slope: Tensor
    """dL/d(what a seed adds to), of the sum over samples of the loss: (N, *site.out_shape)."""
    kind: Kind

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """`read`, `has` and `slope` with one row a position; one a sample where their positions differ."""
        parts = [_by_position(part, self.kind) for part in (self.read, self.has, self.slope)]
        if len({part.shape[1] for part in parts}) > 1:
            return parts[0].mean(1), parts[1].mean(1), parts[2].sum(1)
        read, has, slope = (part.flatten(0, 1) for part in parts)
        return read, has, slope


@define
class _Gathered:
    """The parts of a sample as they come, a part a passage."""

    site: Site
    rows: int
    """How many are wanted."""
    read: list[Tensor] = field(factory=list)
    has: list[Tensor] = field(factory=list)
    slope: dict[int, Tensor] = field(factory=dict)
    """By the number of the passage: gradients come in the reverse order of calls, and not to every one."""
    came: int = 0

    @property
    def due(self) -> int:
        """How many samples give so many rows."""
        positions = math.prod(self.site.out_shape) // self.site.out_features
        return max(FEWEST, math.ceil(self.rows / positions))

    @property
    def full(self) -> bool:
        return self.came >= self.due

    def sample(self) -> SiteSample:
        gathered = self.read, self.has, self.slope
        shapes = {n: [part[n].shape[1:] for part in gathered] for n in self.slope}
        # Texts may be padded to another length in each batch.
        passed = [n for n in sorted(shapes) if shapes[n] == shapes[min(shapes)]]
        read, has, slope = (torch.cat([part[n] for n in passed])[: self.due] for part in gathered)
        return SiteSample(read, has, slope, self.site.kind)


class ActivationRecorder:
    """Gathers, from forward and backward passes that happen anyway, a sample of what passes at each site.

    Put on by `start`, taken off by `stop`; changes nothing that it sees. The loss must be a mean over the batch.

    Args:
        places: where to watch, by site name.
        rows: how many are gathered at each site at most; what passes after that costs next to nothing.
    """

    def __init__(self, places: Mapping[str, BoundSite], rows: int = ROWS) -> None:
        self._places = places
        self._samples = {name: _Gathered(place.site, rows) for name, place in places.items()}
        self.handles: list[RemovableHandle] = []
        """Of its hooks in the host's forward pass."""

    def start(self) -> None:
        for name, place in self._places.items():
            self._watch(self._samples[name], place)

    def stop(self) -> None:
        while self.handles:
            self.handles.pop().remove()

    @property
    def full(self) -> bool:
        """Whether all that is wanted has been gathered."""
        return all(gathered.full for gathered in self._samples.values())

    def state_dict(self) -> dict[str, Any]:
        """What has been gathered so far, by site."""
        return {name: asdict(gathered, filter=_is_part) for name, gathered in self._samples.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with what had been gathered; to be called before `start`."""
        for name, parts in state.items():
            self._samples[name] = evolve(self._samples[name], **parts)

    def samples(self) -> dict[str, SiteSample]:
        """Stops; the sample of every site that a gradient came to."""
        self.stop()
        return {name: gathered.sample() for name, gathered in self._samples.items() if gathered.slope}

    def needs(self) -> dict[str, float]:
        """Stops; the need of every site that a gradient came to (`need`)."""
        return {name: need(*sample.rows()) for name, sample in self.samples().items()}

    def _watch(self, gathered: _Gathered, place: BoundSite) -> None:
        def on_read(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if place.host.training and not gathered.full:
                gathered.read.append(place.read(args, kwargs).detach().clone())

        def on_give(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if gathered.full or not place.host.training:
                return
            h = place.given(output)
            number = len(gathered.has)
            gathered.came += len(h)
            if place.source is None:
                gathered.read.append(h.detach().clone())
            gathered.has.append(_has(place, args, h).detach().clone())
            added_to = place.gives.raw(output)  # `h` may be a view of it that nothing else reads
            if added_to.requires_grad:

                def on_slope(slope: Tensor) -> None:
                    gathered.slope[number] = place.gives.turned(slope.detach()) * len(h)

                added_to.register_hook(on_slope)  # type: ignore[no-untyped-call]

        if place.source is not None:
            self.handles.append(place.source.register_forward_pre_hook(on_read, with_kwargs=True))
        self.handles.append(place.target.register_forward_hook(on_give))


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


def _is_part(attribute: Any, value: Any) -> bool:
    return attribute.name not in ("site", "rows")


def _has(place: BoundSite, args: tuple[Any, ...], h: Tensor) -> Tensor:
    """What `target` reads, batch first, beside `h` that it gives; `h` itself if that is nothing alike."""
    first = args[0] if args else None
    if not isinstance(first, Tensor) or first.dim() != h.dim() or not first.is_floating_point():
        return h
    first = first.movedim(place.gives.batch, 0)
    return first if len(first) == len(h) else h


def _by_position(tensor: Tensor, kind: Kind) -> Tensor:
    """(B, F) as (B, 1, F), (B, T, F) as it is, (B, C, H, W) as (B, H*W, C)."""
    if kind == "image":
        tensor = tensor.movedim(1, -1)
    return tensor.reshape(len(tensor), -1, tensor.shape[-1])
