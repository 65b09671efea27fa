"""What a germination costs beside the training that goes on: a share of an epoch, of a very small task and a larger."""

import pytest
import torch
from attrs import evolve
from torch import nn
from torch.nn import functional

from kasmina.growth.evaluation import Evaluation, Evaluator
from kasmina.growth.growth import Growth
from kasmina.growth.growth_options import GrowthOptions
from kasmina.growth.recipe import Recipe
from kasmina.growth.sites.find import find_sites
from kasmina.records import Observation, Proposal, Site

BATCH, SITE = 64, "0:4"
SMALL, LARGE = (4, 1_400), (512, 12_800)
"""The host's width, and the rows of its training: an epoch of 22 steps, as `kasmina run` has on spirals, and one that
takes about a second."""
INITS = ["built", "zero_out", "orthogonal", "gradmax", "tiny", "aligned"]


class Answers:
    """The deciding hooks: a germination after every epoch, or none."""

    def __init__(self, proposal: Proposal | None) -> None:
        self.proposal = proposal

    def propose_germination(self, observation: Observation) -> Proposal | None:
        return self.proposal

    def __getattr__(self, name: str) -> object:
        return lambda **told: None


def body(site: Site) -> nn.Module:
    return nn.Sequential(nn.Linear(site.in_features, 1), nn.ReLU(), nn.Linear(1, site.out_features, bias=False))


class Course:
    """Training, epoch by epoch. A seed leaves as soon as it has germinated."""

    def __init__(self, size: tuple[int, int], init: str, germinates: bool) -> None:
        torch.manual_seed(0)
        width, rows = size
        self.x, self.y = torch.randn(rows, 2), torch.randint(2, (rows,))
        layers = nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        self.host = nn.Sequential(*layers)
        self.optimizer = torch.optim.Adam(self.host.parameters(), fused=True)
        self.growth = Growth(
            self.host,
            {SITE: evolve(find_sites(self.host, [SITE], self.x[:2])[SITE], builders={"body": body})},
            self.optimizer,
            Answers(Proposal(SITE) if germinates else None),
            Evaluator(lambda: Evaluation(0.0, 0.0), "accuracy"),
            GrowthOptions(Recipe(init=init), BATCH),
        )
        self.born = 0
        self.epoch()

    def epoch(self) -> None:
        for rows in torch.randperm(len(self.y)).split(BATCH):
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.host(self.x[rows]), self.y[rows])
            loss.backward()
            self.optimizer.step()
            self.growth.after_step(loss)
            self.cull()
        self.growth.after_epoch()
        self.cull()

    def cull(self) -> None:
        for seed in self.growth.live_seeds:
            self.born += 1
            self.growth.manager.cull(seed)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(
    ("size", "rounds", "share"), [(SMALL, 201, 0.25), (LARGE, 15, 0.02)], ids=["smallest epoch", "epoch of a second"]
)
def test_an_epoch_with_a_germination(compare, size, rounds, share, init) -> None:
    """A quarter of the smallest epoch is a millisecond, so this holds what one without statistics may take as well."""
    ours, theirs = Course(size, init, True), Course(size, init, False)
    ratio = compare(ours.epoch, theirs.epoch, rounds)
    assert ours.born > rounds and theirs.born == 0
    assert ratio <= 1 + share
