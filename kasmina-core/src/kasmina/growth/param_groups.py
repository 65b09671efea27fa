"""Seeds' parameter groups in the host's optimiser."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer


def add_param_group(optimizer: Optimizer, id: int, seed: nn.Module) -> None:
    """Add the parameters of a seed to the optimiser, in a group of their own with the first group's settings."""
    parameters = {f"seed.{id}.{name}": p for name, p in seed.named_parameters() if p.requires_grad}
    if not parameters:
        return
    settings = dict(optimizer.param_groups[0])
    del settings["params"]
    # An optimiser that was given names, with its parameters, wants them of all.
    named = settings.pop("param_names", None) is not None
    members = list(parameters.items()) if named else list(parameters.values())
    optimizer.add_param_group(settings | {"params": members})


def remove_param_group(optimizer: Optimizer, seed: nn.Module) -> None:
    """Remove the parameters of a seed from the optimiser, which forgets them; they learn no more."""
    groups = optimizer.param_groups
    groups[:] = [group for group in groups if not owns(seed, group)]
    for parameter in seed.parameters():
        optimizer.state.pop(parameter, None)
        parameter.requires_grad_(False)


def owns(seed: nn.Module, group: dict[str, Any]) -> bool:
    """Return whether a group is the seed's, by its parameters: loading the state of an optimiser replaces groups."""
    return any(group["params"][0] is parameter for parameter in seed.parameters())
