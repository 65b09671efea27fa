"""Models of torch's own parts that Kasmina never saw: growth gets below their plateau, whatever the initial weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hosts
import pytest
import torch
from growing import attach, shuffled, train
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from kasmina_blueprints.bottleneck import Bottleneck
from kasmina_blueprints.conv import Conv

STEPS, GERMINATE_AT, BATCH, EVERY = 600, 200, 64, 25
SEEDS = (0, 1, 2)
CASES: dict[str, tuple[Callable[[], nn.Module], list[str], Any]] = {
    "transformer": (hosts.Transformer, ["embed", "encoder.layers.?"], Bottleneck(hidden=16)),
    "residual": (hosts.Residual, ["stem", "blocks.?@Block"], Conv(hidden=8)),
    "recurrent": (hosts.Recurrent, ["embed", "lstm"], Bottleneck(hidden=16)),
}


@pytest.fixture(scope="module")
def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Train and validation: 1,200 and 597 images."""
    pixels, classes = load_digits(return_X_y=True)
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)[order]
    y = torch.tensor(classes)[order]
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


@torch.no_grad()
def validation_loss(host: nn.Module, split: tuple[Tensor, Tensor]) -> float:
    host.eval()
    loss = cross_entropy(host(split[0]), split[1]).item()
    host.train()
    return loss


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_growth_gets_below_the_plateau(name: str, seed: int, digits: tuple[tuple[Tensor, Tensor], ...]) -> None:
    """The plateau is the lowest validation loss that the host ever has alone, in as many steps."""
    make, sites, blueprint = CASES[name]
    (x, y), validation = digits

    def new() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        host = make()
        return host, torch.optim.Adam(host.parameters(), 0.01)

    def batches(host: nn.Module, seen: list[float]) -> Iterator[Callable[[], Tensor]]:
        for step, rows in enumerate(shuffled(len(x), BATCH, STEPS, seed)):
            if step % EVERY == 0:
                seen.append(validation_loss(host, validation))
            yield lambda rows=rows: cross_entropy(host(x[rows]), y[rows])  # type: ignore[misc]
        seen.append(validation_loss(host, validation))

    losses: list[float] = []
    grown: list[float] = []
    alone, optimizer = new()
    train(batches(alone, losses), STEPS, optimizer)
    host, optimizer = new()
    growth = attach(host, sites, x[:2], optimizer, seed)
    train(batches(host, grown), STEPS, optimizer, growth, blueprint.build, GERMINATE_AT)

    sizes = [sum(p.numel() for p in module.parameters()) for module in (alone, *growth.seeds.values())]
    print(
        f"{name}, seed {seed}: validation loss {grown[GERMINATE_AT // EVERY]:.3f} at germination, {min(losses):.3f} at "
        f"best alone ({sizes[0]} parameters), {grown[-1]:.3f} in the end with {len(growth.seeds)} seeds ({sum(sizes)})"
    )
    assert grown[: GERMINATE_AT // EVERY + 1] == losses[: GERMINATE_AT // EVERY + 1], "the two differ before growth"
    assert grown[-1] < min(losses)
    assert list(host.state_dict()) == list(alone.state_dict())
