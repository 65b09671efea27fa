"""Networks of one shape in lock-step: each weight stacked over the members, one forward pass for all."""

from __future__ import annotations

import torch
from tasks import Split
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional


class Whole(nn.Module):
    """A host and its seeds, so that the parameters of both have names in one module."""

    def __init__(self, host: nn.Module) -> None:
        super().__init__()
        self.host = host
        self.seeds = nn.ModuleDict()

    def forward(self, x: Tensor) -> Tensor:
        return self.host(x)


class Members:
    """The weights of all members by name, (members, …) each, and their optimiser."""

    def __init__(self, whole: Whole, rate: float) -> None:
        self.whole = whole
        """The network that stands for all: its hooks run, with the members' weights."""
        self.weights: dict[str, Tensor] = {}
        self.optimizer = torch.optim.Adam([{"params": []}], lr=rate, fused=True)

    def add(self, modules: list[nn.Module], prefix: str) -> None:
        """A module of each member's joins, under its name in the whole."""
        for name, _ in modules[0].named_parameters():
            weights = [module.get_parameter(name).detach() for module in modules]
            self.weights[prefix + name] = torch.stack(weights).requires_grad_()
            self.optimizer.add_param_group({"params": [self.weights[prefix + name]]})

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs (members, rows, classes) of inputs (members, rows, …)."""
        return vmap(lambda weights, x: functional_call(self.whole, weights, (x,)))(self.weights, x)

    def losses(self, rows: Split) -> Tensor:
        """The mean loss of each member (members) on its own rows."""
        outputs = self(rows.x)
        each = functional.cross_entropy(outputs.flatten(0, 1), rows.y.flatten(), reduction="none")
        return each.view(rows.y.shape).mean(1)

    def step(self, rows: Split) -> None:
        """One training step. The losses are summed, so that no member's gradient knows of another."""
        self.optimizer.zero_grad()
        self.losses(rows).sum().backward()
        self.optimizer.step()

    def take(self, chosen: Tensor) -> None:
        """Goes on with the members of these numbers, each with its state in the optimiser; one may come often."""

        def of(tensor: Tensor) -> Tensor:
            return tensor.detach()[chosen] if tensor.dim() else tensor

        for group, (name, old) in zip(self.optimizer.param_groups[1:], list(self.weights.items()), strict=True):
            new = self.weights[name] = of(old).requires_grad_()
            self.optimizer.state[new] = {key: of(value) for key, value in self.optimizer.state.pop(old, {}).items()}
            group["params"] = [new]

    @torch.no_grad()
    def embody(self, member: int) -> None:
        """Gives the network that stands for all the weights of one."""
        for name, parameter in self.whole.named_parameters():
            parameter.copy_(self.weights[name][member])


def joined(splits: list[Split]) -> Split:
    """The members' rows (members, n, …), of which the longer lose their last."""
    size = min(len(split.y) for split in splits)
    return Split(torch.stack([split.x[:size] for split in splits]), torch.stack([split.y[:size] for split in splits]))


def picked(data: Split, members: Tensor, rows: Tensor) -> Split:
    """Of these members (m) the rows (m, n) of their own."""
    return Split(data.x[members[:, None], rows], data.y[members[:, None], rows])
