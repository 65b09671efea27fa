"""`torch.compile` and `torch.export` see a host with its seeds, in every stage, as eager mode does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import find_sites
from kasmina.records import Site, Stage

# Dynamo instantiates an autograd function, which torch itself calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*autograd.function.Function:DeprecationWarning")

STAGES = [Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE, Stage.CULLED]
SITES = ["0", "0:2", "1:1"]


class Grown:
    """A small host with one seed, which is led from stage to stage."""

    def __init__(self, site: str) -> None:
        torch.manual_seed(0)
        self.host = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))
        self.optimizer = torch.optim.SGD(self.host.parameters(), lr=0.1)
        places = find_sites(self.host, [site], torch.randn(2, 4))
        self.manager = Manager(places, self.optimizer, Durations(2, 2, 2))
        self.seed = self.manager.germinate(site, body, "body")

    def grow_to(self, stage: Stage) -> Seed:
        if stage is Stage.CULLED:
            self.manager.cull(self.grow_to(Stage.ACTIVE))
        while self.seed.stage is not stage or (stage in (Stage.BLENDING, Stage.CULLED) and self.seed.level in (0, 1)):
            if self.seed in self.manager.due():
                self.manager.keep(self.seed)
            else:
                self.manager.after_step()
        return self.seed

    def learners(self) -> list[nn.Parameter]:
        return [p for p in [*self.host.parameters(), *self.seed.parameters()] if p.requires_grad]


def body(site: Site) -> nn.Module:
    return nn.Sequential(nn.Linear(site.in_features, 5), nn.SiLU(), nn.Linear(5, site.out_features))


def gradients(forward: Callable[[Tensor], Tensor], grown: Grown, x: Tensor) -> list[Tensor | None]:
    return list(torch.autograd.grad(forward(x).square().sum(), grown.learners(), allow_unused=True))


def same(ours: list[Tensor | None], theirs: list[Tensor | None]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(one is other if one is None or other is None else torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("site", SITES)
def test_a_compiled_host_computes_the_same_in_every_stage(site: str) -> None:
    """Without a break in the graph; `aot_eager` captures as Inductor does, and rounds as eager mode does."""
    grown, x = Grown(site), torch.randn(5, 4)
    for stage in STAGES:
        torch._dynamo.reset()  # of all stages and modes there are more than it keeps of one host
        seed = grown.grow_to(stage)
        compiled = torch.compile(grown.host, fullgraph=True, backend="aot_eager")
        with torch.no_grad():
            grown.host.eval()
            assert torch.equal(compiled(x), grown.host(x)), stage
        grown.host.train()
        ours = gradients(compiled, grown, x)
        assert seed.finite
        assert same(ours, gradients(grown.host, grown, x)), stage


def test_a_rising_alpha_does_not_compile_anew() -> None:
    torch._dynamo.reset()
    grown, x = Grown("0"), torch.randn(5, 4)
    graphs: list[torch.fx.GraphModule] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    seed = grown.grow_to(Stage.BLENDING)
    grown.host.eval()(x)
    compiled = torch.compile(grown.host, fullgraph=True, backend=counting)
    for level in (0.1, 0.5, 0.9):
        seed.level = level
        assert torch.equal(compiled(x), grown.host(x))
    assert len(graphs) == 1


@pytest.mark.parametrize("mode", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("site", SITES)
def test_a_host_is_exported_with_its_seed_in_every_stage(site: str, mode: bool) -> None:
    grown = Grown(site)
    for stage in STAGES:
        grown.grow_to(stage)
        grown.host.train(mode)
        program = torch.export.export(
            grown.host, (torch.randn(4, 4),), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )
        for rows in (1, 3, 9):
            x = torch.randn(rows, 4)
            assert torch.equal(program.module()(x), grown.host(x)), (stage, rows)
