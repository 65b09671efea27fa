"""A host with dormant sites trains as fast as the bare host."""

import torch
from torch import nn

from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.sites.find import find_sites

WIDTH = 16
SITES = 100


def bare() -> tuple[nn.Sequential, torch.optim.Adam]:
    torch.manual_seed(0)
    layers = [layer for _ in range(SITES // 2) for layer in (nn.Linear(WIDTH, WIDTH), nn.Tanh())]
    host = nn.Sequential(*layers)
    return host, torch.optim.Adam(host.parameters(), fused=True)


def steps(host: nn.Module, optimizer: torch.optim.Optimizer, manager: Manager | None) -> None:
    x = torch.ones(64, WIDTH)
    for _ in range(5):
        optimizer.zero_grad()
        host(x).square().mean().backward()
        optimizer.step()
        if manager:
            manager.after_step()


def test_a_step_with_100_dormant_sites(compare) -> None:
    ours, theirs = bare(), bare()
    places = find_sites(ours[0], ["*"], torch.ones(2, WIDTH))
    assert len(places) == SITES
    manager = Manager(places, ours[1], Durations(1, 1, 1))
    assert compare(lambda: steps(*ours, manager), lambda: steps(*theirs, None), 201) <= 1.01
