"""A folded export computes as fast as a network of the same shape that was written by hand."""

import io

import pytest
import torch
from torch import nn

from kasmina.growth.export.formats import Torch
from kasmina.growth.export.plain import plain
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.sites.find import find_sites
from kasmina_blueprints.neurons import Neurons


class Residual(nn.Module):
    """A block with a short cut, so that it is no chain of layers."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.into, self.back, self.head = nn.Linear(32, hidden), nn.Linear(hidden, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x + self.back(torch.relu(self.into(x))))


def chain(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(32, hidden), nn.ReLU(), nn.Linear(hidden, 32), nn.ReLU(), nn.Linear(32, 10))


def grown(host: nn.Module, site: str) -> nn.Module:
    """The host with 16 neurons more, exported and read back."""
    x = torch.randn(64, 32)
    manager = Manager(find_sites(host, [site], x), torch.optim.SGD(host.parameters(), 0.1), Durations(1, 1, 1))
    seed = manager.germinate(site, Neurons(hidden=16).build, "neurons")
    for _ in range(2):
        manager.after_step()
    result = plain(host, [seed], x)
    assert result.folded
    return torch.load(io.BytesIO(Torch().write(result, x)[0]), weights_only=False)


@pytest.mark.parametrize("rows", [1, 256])
@pytest.mark.parametrize(("build", "site"), [(chain, "0:2"), (Residual, "into:back")], ids=["chain", "residual"])
def test_inference(compare, build, site, rows):
    ours, theirs = grown(build(48), site), build(64).eval()
    x = torch.randn(rows, 32)

    def calls(module):
        def run() -> None:
            with torch.no_grad():
                for _ in range(100):
                    module(x)

        return run

    assert compare(calls(ours), calls(theirs), 201) <= 1.02
