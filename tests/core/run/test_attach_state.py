"""What a loop of one's own saves: plain values and tensors, which `torch.load` reads as it is by default."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import kasmina
from kasmina import Observation, Proposal, Site, Stage, Verdict, hookimpl
from kasmina.growth.growth import Growth

SITES = ["0:1", "1:3", "3"]
EPOCHS, BATCHES, BATCH = 9, 3, 8
PLAIN = (type(None), bool, int, float, str)


class Word(str):
    """A name of a class of its own, as numpy's are."""


@attrs.define(eq=False)
class Script:
    """A controller that does as it was told, and counts what it was asked."""

    germinates: dict[int, str]
    keeps: list[bool]
    asks: bool
    _judged: int = attrs.field(init=False, default=0)

    @hookimpl
    def wants_statistics(self) -> bool:
        return self.asks

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        site = self.germinates.get(observation.epoch)
        return Proposal(Word(site), Word("as told")) if site else None

    @hookimpl
    def judge_seed(self) -> Verdict:
        self._judged += 1
        return Verdict(self.keeps[self._judged % len(self.keeps)], "as told")


@attrs.define(eq=False)
class Body:
    """A blueprint of a hidden layer, with what keeps something besides its weights."""

    drops: float = 0.5

    def build(self, site: Site) -> nn.Module:
        inner = [nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(self.drops)]
        return nn.Sequential(nn.Linear(site.in_features, 4), *inner, nn.Linear(4, site.out_features))


@attrs.define(eq=False)
class Linear:
    """A blueprint of one linear map."""

    def build(self, site: Site) -> nn.Module:
        return nn.Linear(site.in_features, site.out_features)


def leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return what a tree of mappings, lists and tuples holds, each with where it stands."""
    if isinstance(tree, Mapping):
        assert {type(key) for key in tree} <= {str, int}, path
        return [leaf for key, value in tree.items() for leaf in leaves(value, f"{path}[{key!r}]")]
    if isinstance(tree, list | tuple):
        return [leaf for number, value in enumerate(tree) for leaf in leaves(value, f"{path}[{number}]")]
    return [(path, tree)]


def check_leaves(state: dict[str, Any]) -> None:
    """Every leaf is plain or a tensor."""
    wrong = [(path, type(leaf)) for path, leaf in leaves(state) if type(leaf) not in (*PLAIN, torch.Tensor)]
    assert not wrong


def check_file(state: dict[str, Any]) -> None:
    """All leaves come back from a file as they were."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    back = leaves(torch.load(file, weights_only=True))
    assert [path for path, _ in back] == [path for path, _ in leaves(state)]
    for (_, now), (_, then) in zip(back, leaves(state), strict=True):
        assert torch.equal(now, then) if isinstance(then, torch.Tensor) else now == then


def begun(script: Script, seed: int, **options: Any) -> tuple[nn.Module, torch.optim.Optimizer, Growth]:
    torch.manual_seed(seed)
    host = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.1), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(host.parameters(), 0.05)
    x, y = torch.randn(16, 3), torch.randn(16, 1)
    growth = kasmina.attach(
        *(host, optimizer, x[:BATCH], lambda: (host(x) - y).square().mean()),
        sites=SITES,
        controller=script,
        **{"training": 0.7, "blending": 1, "probation": 1} | options,
    )
    return host, optimizer, growth


epoch = st.integers(1, EPOCHS - 1)
scripts = st.builds(
    Script,
    germinates=st.dictionaries(epoch, st.sampled_from(SITES), min_size=1, max_size=4),
    keeps=st.lists(st.booleans(), min_size=1, max_size=3),
    asks=st.booleans(),
)
options = st.fixed_dictionaries(
    {
        "blueprint": st.sampled_from([Body(), [Body(), Linear()], Linear()]),
        "candidates": st.integers(1, 2),
        "init": st.sampled_from([None, "built"]),
        "budget": st.sampled_from([None, {"seeds": 1}]),
    }
)


@given(scripts, options, st.integers(0, 3), st.integers(0, EPOCHS * BATCHES))
@settings(deadline=None, max_examples=20)
def test_a_state_is_plain_at_any_moment_and_torch_reads_it_back(
    script: Script, options: dict[str, Any], seed: int, cut: int
) -> None:
    host, optimizer, growth = begun(script, seed, **options)
    x, y = torch.randn(BATCHES, BATCH, 3), torch.randn(BATCHES, BATCH, 1)
    for _ in range(EPOCHS):
        for number in range(BATCHES):
            optimizer.zero_grad()
            loss = (host(x[number]) - y[number]).square().mean()
            loss.backward()
            optimizer.step()
            growth.after_step(loss)
            if growth.step == cut and growth.manager.seeds:
                growth.cut(max(growth.manager.seeds), "as told")
            check_leaves(growth.state_dict())
        check_file(growth.state_dict())
        growth.after_epoch()
        check_leaves(growth.state_dict())
    check_file(growth.state_dict())


def test_a_state_with_a_seed_that_is_gone_is_taken_up_again() -> None:
    script = Script({1: "0:1"}, [False], False)
    host, optimizer, growth = begun(script, 0, blueprint=Linear(), init="built")
    while not growth.manager.past:
        for _ in range(BATCHES):
            growth.after_step(host(torch.randn(BATCH, 3)).square().mean())
        growth.after_epoch()
    file = io.BytesIO()
    torch.save([host.state_dict(), growth.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    again = begun(script, 1, blueprint=Linear(), init="built")
    host_state, growth_state, optimizer_state = torch.load(file)
    again[0].load_state_dict(host_state)
    again[2].load_state_dict(growth_state)
    again[1].load_state_dict(optimizer_state)
    assert again[2].seeds == growth.seeds and again[2].seeds[0].stage is Stage.CULLED
