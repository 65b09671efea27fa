"""The contract of a blueprint, check by check, and what is fourier's own."""

import pytest
import torch

from kasmina import Site
from kasmina.testing import Check, blueprint_checks
from kasmina_fourier import Fourier


@pytest.mark.parametrize("check", blueprint_checks(Fourier))
def test_contract(check: Check) -> None:
    check()


def test_scale_is_that_of_the_frequencies() -> None:
    site = Site("b", "vector", (50,), (50,))
    narrow, wide = (Fourier(features=200, scale=scale).build(site).there.weight.std().item() for scale in (0.5, 5.0))
    assert narrow == pytest.approx(0.5, rel=0.1) and wide == pytest.approx(5.0, rel=0.1)


def test_features_repeat_with_the_period_of_their_sines() -> None:
    module = Fourier(features=1).build(Site("b", "vector", (1,), (1,)))
    torch.nn.init.ones_(module.back.weight)
    x, period = torch.linspace(-2, 2, 9)[:, None], 2 * torch.pi / module.there.weight
    assert torch.allclose(module(x), module(x + period), atol=1e-5)
