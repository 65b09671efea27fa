"""Checks of a blueprint's modules, each by itself and without a host."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.records import Site
from kasmina.testing.engine_fixture import same

STEPS, RATE = 50, 0.03
FALL = 0.99
"""Largest ratio of the last loss to the first. A module of few units does not learn all that another such one does."""


def sites() -> Iterator[Site]:
    """Yield sites of every kind and form, with equal and different widths and positions, also with a single one."""
    for name in ("b", "b:b", "a:b"):
        for read in (1, 4, 7):
            for give in (read,) if name == "b" else (read, 3):
                yield Site(name, "vector", (read,), (give,))
                for long, later in ((1, 1), (5, 5)) if name == "b" else ((1, 1), (5, 5), (5, 2)):
                    yield Site(name, "sequence", (long, read), (later, give))
                    yield Site(name, "image", (read, long, long + 1), (give, later, later + 1))


def batch(site: Site, size: int = 8, seed: int = 0) -> Tensor:
    """Return samples (size, *site.in_shape), the same ones for the same seed."""
    return torch.randn(size, *site.in_shape, generator=torch.Generator().manual_seed(seed))


def fits_tells_the_truth(blueprint: Any) -> None:
    """Assert that outputs have the right shape where `fits` answers None, and that it gives a reason elsewhere."""
    fits = getattr(blueprint, "fits", lambda site: None)
    for site in sites():
        reason = fits(site)
        if reason is None:
            _assert_output_shape(blueprint.build(site), site)
        else:
            assert isinstance(reason, str), f"fits answers {reason!r} to {site}"
            assert reason.strip() and "\n" not in reason, f"fits gives no reason in one line to {site}: {reason!r}"


def _assert_output_shape(module: Any, site: Site) -> None:
    assert isinstance(module, nn.Module), f"build gave a {type(module).__name__} and no torch.nn.Module for {site}"
    # A single sample only in evaluation mode: a batch norm needs two in training.
    for training, size in ((True, 3), (False, 3), (False, 1)):
        x = batch(site, size)
        try:
            given = module.train(training)(x)
        except Exception as error:
            mode = "training" if training else "evaluation"
            raise AssertionError(f"in {mode} mode its module raises {error!r} for {size} samples of {site}") from error
        came = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        assert came == (size, *site.out_shape), f"its module gives {came} for {size} samples of {site}"


def parameters_are_settled(blueprint: Any, site: Site) -> None:
    """Assert that two modules have the same parameters, and still have them after they were run."""
    one, other = blueprint.build(site), blueprint.build(site)
    before = _shapes(one)
    assert before == _shapes(other), "two modules for one site have other parameters"
    for training in (True, False):
        one.train(training)(batch(site))
    assert _shapes(one) == before, "running it changed which parameters it has"


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    lazy = [name for name, p in module.named_parameters() if isinstance(p, nn.parameter.UninitializedParameter)]
    assert not lazy, f"{lazy} have no size until the first forward pass, and an optimiser needs them now"
    return {name: tuple(p.shape) for name, p in module.named_parameters()}


def evaluation_repeats(blueprint: Any, site: Site) -> None:
    """Assert that the same input gives the same output in evaluation mode."""
    module = perturbed(blueprint.build(site)).eval()
    first, second = module(batch(site)), module(batch(site))
    assert same(first, second), "the same input gave another output"


def copies_and_saves(blueprint: Any, site: Site) -> None:
    """Assert that a copy, and a new module with the saved state, give the same output."""
    module = perturbed(blueprint.build(site)).train()
    module(batch(site, seed=1))
    module.eval()
    state = module.state_dict()
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    assert not odd, f"{odd} in its state_dict are no tensors, and a checkpoint holds nothing else"
    again = blueprint.build(site)
    again.load_state_dict(copy.deepcopy(state))
    due = module(batch(site))
    for what, twin in (("a deep copy", copy.deepcopy(module)), ("a new module with its state_dict", again.eval())):
        assert same(twin(batch(site)), due), f"{what} gives something else"


def gives_numbers(blueprint: Any, site: Site) -> None:
    """Assert that outputs are finite."""
    for module in (blueprint.build(site), perturbed(blueprint.build(site))):
        for training in (True, False):
            given = module.train(training)(batch(site))
            assert bool(given.isfinite().all()), "it gives inf or NaN for ordinary numbers"


def leaves_the_seed_alone(blueprint: Any, site: Site) -> None:
    """Assert that a forward pass does not set torch's random seed."""
    module = perturbed(blueprint.build(site))
    for training in (True, False):
        after = []
        with torch.random.fork_rng(), torch.no_grad():
            for seed in (1, 2):
                torch.manual_seed(seed)
                before = torch.get_rng_state()
                module.train(training)(batch(site))
                after.append((before, torch.get_rng_state()))
        (first, then), (second, later) = after
        drew = not torch.equal(first, then) or not torch.equal(second, later)
        assert not (drew and torch.equal(then, later)), "its forward sets torch's random seed (torch.manual_seed)"


def fits_a_task(blueprint: Any, site: Site) -> None:
    """Assert that training lowers the loss on the outputs of another module of the same kind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher, module = perturbed(blueprint.build(site)).eval(), blueprint.build(site)
        learning = [p for p in module.parameters() if p.requires_grad]
        if not learning:
            return
        x = batch(site, 32)
        with torch.no_grad():
            wanted = teacher(x)
        optimizer = torch.optim.Adam(learning, RATE)
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = (module(x) - wanted).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] <= FALL * losses[0], f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g} in {STEPS} steps"


def perturbed(module: nn.Module) -> nn.Module:
    """Move the weights of a module a little, as training does: most seeds begin with outputs of zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return module


def draws(module: nn.Module, site: Site) -> bool:
    """Return whether a module draws random numbers in training mode."""
    with torch.random.fork_rng(), torch.no_grad():
        before = torch.get_rng_state()
        module.train()(batch(site))
        return not torch.equal(torch.get_rng_state(), before)
