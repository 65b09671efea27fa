"""Samples of what passes at sites in ordinary training, and the need of a site for a seed."""

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
"""Number of random neurons by which a need is measured."""
ROWS = 1024
"""Number of rows by which a need is measured."""
FEWEST = 32
"""Number of samples that are kept at least, however many rows each of them has."""


@frozen(eq=False)
class SiteSample:
    """Tensors that passed at one site in ordinary training, for the first samples of some batches."""

    input: Tensor
    """Input of a seed: (N, *site.in_shape)."""
    target_input: Tensor
    """Input of the target module, (N, ...), or its output where the input is no tensor of the same dimensions."""
    output_grad: Tensor
    """Gradient of the loss, summed over samples, for the tensor that a seed adds to: (N, *site.out_shape)."""
    kind: Kind

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three tensors with one row for each position; one for each sample where their positions differ."""
        parts = [_by_position(part, self.kind) for part in (self.input, self.target_input, self.output_grad)]
        if len({part.shape[1] for part in parts}) > 1:
            return parts[0].mean(1), parts[1].mean(1), parts[2].sum(1)
        inputs, target_inputs, output_grads = (part.flatten(0, 1) for part in parts)
        return inputs, target_inputs, output_grads


@define
class _Gathered:
    """Parts of a sample, one for each passage, as they come."""

    site: Site
    rows: int
    """Number of rows that are wanted."""
    input: list[Tensor] = field(factory=list)
    target_input: list[Tensor] = field(factory=list)
    output_grad: dict[int, Tensor] = field(factory=dict)
    """Gradients by number of the passage: they come in the reverse order of calls, and not to every one."""
    came: int = 0
    """Number of samples that have passed."""

    @property
    def due(self) -> int:
        """Number of samples that give so many rows."""
        positions = math.prod(self.site.out_shape) // self.site.out_features
        return max(FEWEST, math.ceil(self.rows / positions))

    @property
    def full(self) -> bool:
        """Whether enough samples have passed."""
        return self.came >= self.due

    def sample(self) -> SiteSample:
        """Return the first samples of the passages that a gradient came to."""
        gathered = self.input, self.target_input, self.output_grad
        shapes = {n: [part[n].shape[1:] for part in gathered] for n in self.output_grad}
        # Texts may be padded to another length in each batch.
        passed = [n for n in sorted(shapes) if shapes[n] == shapes[min(shapes)]]
        parts = [torch.cat([part[n] for n in passed])[: self.due] for part in gathered]
        return SiteSample(parts[0], parts[1], parts[2], self.site.kind)


class ActivationRecorder:
    """Records a sample of what passes at each site, in forward and backward passes that happen anyway.

    It works from `start` to `stop`, and changes nothing that it sees. The loss must be a mean over the batch.

    Args:
        places: Sites to record at, by name.
        rows: Number of rows recorded at each site at most; what passes after that costs next to nothing.
    """

    def __init__(self, places: Mapping[str, BoundSite], rows: int = ROWS) -> None:
        self._places = places
        self._samples = {name: _Gathered(place.site, rows) for name, place in places.items()}
        self.handles: list[RemovableHandle] = []
        """Handles of its hooks in the host's forward pass."""

    def start(self) -> None:
        """Put the hooks on the host."""
        for name, place in self._places.items():
            self._record(self._samples[name], place)

    def stop(self) -> None:
        """Take the hooks off the host."""
        while self.handles:
            self.handles.pop().remove()

    @property
    def full(self) -> bool:
        """Whether all that is wanted has been gathered."""
        return all(gathered.full for gathered in self._samples.values())

    def state_dict(self) -> dict[str, Any]:
        """Return what has been gathered so far, by site."""
        return {name: asdict(gathered, filter=_is_part) for name, gathered in self._samples.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what had been gathered; to be called before `start`."""
        for name, parts in state.items():
            self._samples[name] = evolve(self._samples[name], **parts)

    def samples(self) -> dict[str, SiteSample]:
        """Stop, and return the sample of every site that a gradient came to."""
        self.stop()
        return {name: gathered.sample() for name, gathered in self._samples.items() if gathered.output_grad}

    def needs(self) -> dict[str, float]:
        """Stop, and return the need of every site that a gradient came to (`need`)."""
        return {name: need(*sample.rows()) for name, sample in self.samples().items()}

    def _record(self, gathered: _Gathered, place: BoundSite) -> None:
        def on_read(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if place.host.training and not gathered.full:
                gathered.input.append(place.read(args, kwargs).detach().clone())

        def on_give(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if gathered.full or not place.host.training:
                return
            h = place.given(output)
            number = len(gathered.target_input)
            gathered.came += len(h)
            if place.source is None:
                gathered.input.append(h.detach().clone())
            gathered.target_input.append(_target_input(place, args, h).detach().clone())
            added_to = place.gives.raw(output)  # `h` may be a view of it that nothing else reads
            if added_to.requires_grad:

                def on_grad(grad: Tensor) -> None:
                    gathered.output_grad[number] = place.gives.turned(grad.detach()) * len(h)

                added_to.register_hook(on_grad)

        if place.source is not None:
            self.handles.append(place.source.register_forward_pre_hook(on_read, with_kwargs=True))
        self.handles.append(place.target.register_forward_hook(on_give))


def need(inputs: Tensor, target_inputs: Tensor, output_grads: Tensor) -> float:
    """Return the first-order decrease of the loss, per unit of step, that a layer of random ReLU neurons could bring.

    The wanted change of the target's output is -`output_grads`. The part of it that the target can make by itself, from
    `target_inputs`, is left out. The part of the rest that `NEURONS` random neurons on `inputs` explain, by ridge
    regression, is summed in squares and divided by n. It is large where much is wanted that a seed could do and the
    host could not: the expressivity bottleneck of Verbockhaven et al., "Growing Tiny Networks" (2024), eq. 6, by random
    features.

    Args:
        inputs: Rows that a seed would read, (n, in).
        target_inputs: Rows that the target reads, (n, k).
        output_grads: Gradients of the loss for the target's output, (n, out).
    """
    read, has, slope = (rows[:ROWS].double() for rows in (inputs, target_inputs, output_grads))
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


def _target_input(place: BoundSite, args: tuple[Any, ...], h: Tensor) -> Tensor:
    """Return what `target` reads, batch first; its output `h` where that is nothing alike."""
    first = args[0] if args else None
    if not isinstance(first, Tensor) or first.dim() != h.dim() or not first.is_floating_point():
        return h
    first = first.movedim(place.gives.batch, 0)
    return first if len(first) == len(h) else h


def _by_position(tensor: Tensor, kind: Kind) -> Tensor:
    """Return (B, F) as (B, 1, F), (B, T, F) as it is, and (B, C, H, W) as (B, H*W, C)."""
    if kind == "image":
        tensor = tensor.movedim(1, -1)
    return tensor.reshape(len(tensor), -1, tensor.shape[-1])
