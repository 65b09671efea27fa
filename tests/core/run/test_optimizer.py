"""The optimiser of a run is torch's AdamW in all but the time that it takes to be ready."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from kasmina.run.optimizer import AdamW

Optimizers = tuple[torch.optim.Optimizer, torch.optim.Optimizer]


@pytest.fixture(params=[True, False, None], ids=["fused", "unfused", "default"])
def both(request: pytest.FixtureRequest) -> Optimizers:
    """Ours and torch's, each over a network of its own, which is equal to the other."""
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    theirs = copy.deepcopy(ours)
    make = (AdamW, torch.optim.AdamW)
    one, other = (
        made(host.parameters(), lr=0.02, weight_decay=0.02, fused=request.param)
        for made, host in zip(make, (ours, theirs), strict=True)
    )
    return one, other


def parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def step(optimizer: torch.optim.Optimizer) -> None:
    torch.manual_seed(1)
    optimizer.zero_grad()
    loss = torch.stack([(p * torch.randn_like(p)).sum() ** 2 for p in parameters(optimizer)]).sum()
    loss.backward()
    optimizer.step()


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_steps_and_states_are_equal_to_the_bit(both: Optimizers) -> None:
    ours, theirs = both
    for number in range(6):
        if number == 3:  # a seed germinates
            for optimizer in both:
                group = {**optimizer.param_groups[0], "params": [nn.Parameter(torch.ones(2, 3))]}
                optimizer.add_param_group(group)
        for optimizer in both:
            step(optimizer)
        assert same(parameters(ours), parameters(theirs)) and same(ours.state_dict(), theirs.state_dict())


def test_each_loads_the_state_of_the_other(both: Optimizers) -> None:
    ours, theirs = both
    step(ours)
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    step(theirs)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    assert same(ours.state_dict(), theirs.state_dict())


def test_a_step_is_not_recorded_for_backward(both: Optimizers) -> None:
    ours, _ = both
    step(ours)
    assert all(parameter.is_leaf and parameter.grad_fn is None for parameter in parameters(ours))
    assert not any(value.requires_grad for state in ours.state.values() for value in state.values())
    assert torch.is_grad_enabled()


def test_a_closure_is_called_with_gradients(both: Optimizers) -> None:
    ours, _ = both
    first = parameters(ours)[0]

    def closure() -> float:
        first.sum().backward()
        return 1.5

    assert ours.step(closure) == 1.5 and first.grad is not None


def test_hooks_around_a_step_are_called(both: Optimizers) -> None:
    ours, _ = both
    told: list[str] = []
    ours.register_step_pre_hook(lambda *_: told.append("before"))
    ours.register_step_post_hook(lambda *_: told.append("after"))
    step(ours)
    assert told == ["before", "after"]


def test_a_profile_sees_each_step(both: Optimizers) -> None:
    ours, _ = both
    step(ours)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        step(ours)
        step(ours)
    assert [event.name for event in profiler.events() or []].count("Optimizer.step#AdamW.step") == 2


def test_gradients_can_be_set_to_zero(both: Optimizers) -> None:
    ours, _ = both
    step(ours)
    ours.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in parameters(ours))
    ours.zero_grad()
    assert all(p.grad is None for p in parameters(ours))
