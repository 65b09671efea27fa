"""Grown hosts without Kasmina: traced and folded, or for `torch.export` where no plain graph can be had."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from attrs import frozen
from torch import Tensor, fx, nn

from kasmina.errors import UsageError
from kasmina.growth.evaluation_mode import evaluation_mode
from kasmina.growth.export.fold import fold
from kasmina.growth.export.lower import layers
from kasmina.growth.export.program import program
from kasmina.growth.export.trace import trace
from kasmina.growth.seed import Seed
from kasmina.growth.sites.probe import untouched

TOLERANCE = 1e-6
"""Largest error of a folded export in float32: norm of the difference, as a share of the norm of the outputs."""


def tolerance(dtype: torch.dtype) -> float:
    """Return the tolerance for a dtype: the same number of roundings as `TOLERANCE` in float32."""
    return TOLERANCE * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


@frozen(eq=False)
class Plain:
    """A grown host as modules of torch's own, in evaluation mode."""

    module: nn.Module
    live: bool
    """Whether there is no plain graph: `module` is then the host itself, which only `torch.export` can export."""
    folded: frozenset[int]
    """Ids of the seeds that are now part of the host's own layers."""
    unfolded_because: str
    """Reason why nothing could be folded; empty if it could be, or if folding was not asked for."""


def plain(host: nn.Module, seeds: Sequence[Seed], x: Tensor, folding: bool = True) -> Plain:
    """Return the host in evaluation mode and its seeds, without Kasmina.

    Args:
        x: samples (N, *in_shape), on which the result is compared with the host.
        folding: whether seeds are to become part of the host's own layers where the algebra allows it. Without it the
            result is equal to the host's to the bit.

    Raises:
        UsageError: torch cannot export this host.
    """
    x = enough(x)
    names = named(host, seeds)
    try:
        module = unfolded(host, seeds, x)
    except Exception as error:  # whatever a stranger's forward may do
        return _as_program(host, x, " ".join(str(error).split()))
    if folding:
        narrow = fold(module)
        off = distance(narrow, host, x)
        if off > tolerance(x.dtype):
            return Plain(layers(module), False, frozenset(), f"folded it would be off by {off:.1e}")
        gone = present(module, names) - present(narrow, names)
        return Plain(layers(narrow), False, frozenset(names[name].id for name in gone), "")
    return Plain(layers(module), False, frozenset(), "")


def plain_modules(host: nn.Module, seeds: Sequence[Seed], x: Tensor) -> nn.Module:
    """Return a grown host as modules of torch's own: a copy in evaluation mode, seeds folded into its layers.

    Args:
        host: Grown host, which stays as it is.
        seeds: Seeds that take part in its forward pass.
        x: Samples (N, *in_shape), N > 2, on which the copy is compared with the host.

    Raises:
        UsageError: The host's forward cannot be written down as a graph.
    """
    found = plain(host, seeds, x)
    if found.live:
        raise UsageError(f"the host cannot be had as plain modules: {found.unfolded_because}")
    return found.module


def unfolded(host: nn.Module, seeds: Sequence[Seed], x: Tensor) -> fx.GraphModule:
    """Return the host and its seeds in evaluation mode, by their names from `named`, as a graph that computes the same.

    Raises:
        Exception: of whatever kind, if the forward does something that no graph can say.
    """
    x = enough(x)
    with evaluation_mode(host):
        module = trace(host, named(host, seeds), (x[:2], x[:3]))
    if any(distance(module, host, rows) for rows in (x, x[:1])):
        raise ValueError("its graph gives other numbers than itself")
    return module


def named(host: nn.Module, seeds: Sequence[Seed]) -> dict[str, Seed]:
    """Return the seeds by the names that their modules have in a graph."""
    return {free_name(f"seed_{seed.id}", host): seed for seed in seeds}


def enough(x: Tensor) -> Tensor:
    """Return enough samples for batches of several sizes, repeated if they are few."""
    return x if len(x) >= 4 else torch.cat([x] * 4)


def _as_program(host: nn.Module, x: Tensor, reason: str) -> Plain:
    try:
        program(host, x)
    except Exception as error:
        raise UsageError(f"the host cannot be exported: {reason}; and torch.export: {_short(error)}") from error
    return Plain(host, True, frozenset(), reason)


def _short(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()


def distance(ours: Callable[[Tensor], Tensor], theirs: nn.Module, x: Tensor) -> float:
    """Return the distance of the outputs of two modules, as `apart` measures it.

    With gradients on: without them torch takes a short cut through attention, which rounds in another way and which a
    program of `torch.export` does not take.
    """
    with untouched(theirs), torch.enable_grad():
        return apart(ours(x.clone()).detach(), theirs(x.clone()).detach())


def apart(one: Tensor, other: Tensor) -> float:
    """Return the norm of the difference as a share of the norm of the second tensor; 0 for equal bits."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    if torch.equal(one, other) or torch.equal(one.nan_to_num(0, 1, -1), other.nan_to_num(0, 1, -1)):
        return 0.0
    share = float((one.double() - other.double()).norm() / other.double().norm())
    return share if math.isfinite(share) else math.inf


def present(module: fx.GraphModule, names: dict[str, Seed]) -> set[str]:
    """Return the names of the seeds that still have nodes of their own in the graph."""
    targets = {str(node.target).split(".")[0].removesuffix("_alpha") for node in module.graph.nodes}
    return {name for name in names if name in targets}


def free_name(name: str, host: nn.Module) -> str:
    """Return the name with as many trailing underscores as it needs to differ from every name of the host."""
    while hasattr(host, name) or hasattr(host, f"{name}_alpha"):
        name += "_"
    return name
