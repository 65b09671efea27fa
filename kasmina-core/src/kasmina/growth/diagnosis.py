"""Parameters and seeds that are not finite, found once a quick check has shown that some are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from attrs import frozen
from torch import Tensor, nn
from torch.optim import Optimizer

from kasmina.growth.health import gradient_finite, parameter_finite, weights_finite
from kasmina.growth.seed import Seed
from kasmina.records import Stage

_SHOWN = 3
"""Number of the host's parameters that a sentence names at most."""


@frozen
class Nonfinite:
    """Parameters and seeds whose gradients or weights are not finite where the host feels it."""

    host: tuple[str, ...]
    """Names of parameters of the host, and "parameter N of group M" of such as only the optimiser knows."""
    seeds: tuple[int, ...]
    """Ids of seeds that are blended in, wholly or in part."""

    def __str__(self) -> str:
        names = [*self.host[:_SHOWN], *(f"seed {id}" for id in self.seeds)]
        more = f" and {len(self.host) - _SHOWN} more" if len(self.host) > _SHOWN else ""
        return f"a gradient or a weight is not finite, of {', '.join(names)}{more}"


def check_gradients(
    host: nn.Module, seeds: Sequence[Seed], optimizer: Optimizer
) -> tuple[Nonfinite | None, list[Seed]]:
    """Return what is not finite where the host feels it, or None; and then the seeds in training that are not finite.

    Slow: to be called once `gradients_finite` has said that something is wrong.
    """
    names = nonfinite_parameters(host, seeds, optimizer)
    bad = [seed for seed in seeds if not seed.gradients_finite]
    felt = tuple(seed.id for seed in bad if seed.stage is not Stage.TRAINING)
    return (Nonfinite(names, felt), []) if names or felt else (None, bad)


def check_weights(host: nn.Module, seeds: Sequence[Seed], optimizer: Optimizer) -> Nonfinite | None:
    """Return what is not finite of weights and of what the optimiser keeps of them; None if all is.

    Seeds in training are left out, for the host does not feel them.
    """
    training = [seed for seed in seeds if seed.stage is Stage.TRAINING]
    if weights_finite(optimizer, training):
        return None
    fine = partial(parameter_finite, optimizer)
    names = nonfinite_parameters(host, seeds, optimizer, fine)
    bad = tuple(seed.id for seed in seeds if seed not in training and not all(map(fine, seed.parameters())))
    return Nonfinite(names, bad) if names or bad else None


def nonfinite_parameters(
    host: nn.Module, seeds: Iterable[nn.Module], optimizer: Optimizer, fine: Callable[[Tensor], bool] = gradient_finite
) -> tuple[str, ...]:
    """Return the names of the parameters that are not `fine`, of the host and of what is no seed's."""
    named = {id(parameter): (name, parameter) for name, parameter in host.named_parameters()}
    apart = {id(parameter) for seed in seeds for parameter in seed.parameters()}
    for m, group in enumerate(optimizer.param_groups):
        for n, parameter in enumerate(group["params"]):
            if id(parameter) not in apart:
                named.setdefault(id(parameter), (f"parameter {n} of group {m}", parameter))
    return tuple(name for name, parameter in named.values() if not fine(parameter))
