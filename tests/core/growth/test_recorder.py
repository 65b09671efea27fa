"""A watch keeps what passed at a site in training, and its gradient, up to so many rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kasmina.growth.recorder import FEWEST, ActivationRecorder, SiteSample
from kasmina.growth.sites.find import find_sites

VECTORS = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
IMAGES = nn.Sequential(nn.Conv2d(2, 4, 3, 2), nn.Tanh(), nn.Conv2d(4, 3, 1), nn.Flatten())
HOSTS = {"0:2": (VECTORS, (5,)), "1": (VECTORS, (5,)), "2:2": (IMAGES, (2, 7, 9)), "0:0": (IMAGES, (2, 7, 9))}


def watched(site: str, batches: list[Tensor], rows: int) -> ActivationRecorder:
    host, _ = HOSTS[site]
    host.zero_grad()
    watch = ActivationRecorder(find_sites(host, [site], batches[0][:2]), rows)
    watch.start()
    for batch in batches:
        host(batch).square().sum(1).mean().backward()
    return watch


def batches(site: str, sizes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, *HOSTS[site][1], generator=generator) for size in sizes]


@pytest.mark.parametrize("site", HOSTS)
def test_a_sample_is_what_passed_and_the_gradient_of_the_sum(site: str) -> None:
    """Whatever the batches, their means included: as if all samples had passed at once and their losses been summed."""
    passed = batches(site, (20, 12))
    sample = watched(site, passed, 10_000).samples()[site]
    host = HOSTS[site][0]
    first, _, last = site.partition(":")
    x = torch.cat(passed)
    seen: dict[str, Tensor] = {}
    for name, module in host.named_children():
        seen[name], x = x, module(x)
        if name == (last or first):
            seen["gave"], target = x, name
    (slope,) = torch.autograd.grad(x.square().sum(), seen["gave"])
    read = seen[first] if last else seen["gave"]
    for ours, due in ((sample.input, read), (sample.target_input, seen[target]), (sample.output_grad, slope)):
        assert torch.allclose(ours, due, atol=1e-6)
        assert not ours.requires_grad


@pytest.mark.parametrize("site", HOSTS)
def test_no_more_is_kept_than_was_asked_for(site: str) -> None:
    watch = watched(site, batches(site, (30, 30, 30)), 40)
    sample = watch.samples()[site]
    positions = sample.output_grad[0, 0].numel() if sample.kind == "image" else 1
    assert len(sample.input) == len(sample.target_input) == len(sample.output_grad) == max(FEWEST, -(-40 // positions))
    assert watch._samples[site].came <= 60


def test_after_a_stop_nothing_is_left_on_the_host() -> None:
    watch = watched("0:2", batches("0:2", (8,)), 40)
    watch.stop()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in VECTORS)
    VECTORS(torch.ones(3, 5))
    assert len(watch.samples()["0:2"].input) == 8


def test_rows_are_positions_and_whole_samples_where_positions_differ() -> None:
    sample = watched("2:2", batches("2:2", (8,)), 40).samples()["2:2"]
    read, has, slope = sample.rows()
    assert read.shape == has.shape == (8 * 3 * 4, 4) and slope.shape == (8 * 3 * 4, 3)
    assert torch.equal(read[5], sample.input[0, :, 1, 1])
    sample = watched("0:0", batches("0:0", (8,)), 40).samples()["0:0"]
    read, has, slope = sample.rows()
    assert read.shape == has.shape == (8, 2) and slope.shape == (8, 4)
    assert torch.allclose(slope, sample.output_grad.sum((2, 3)))
    assert isinstance(sample, SiteSample)


class Recurrent(nn.Module):
    """Its middle has the batch as the second dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.lstm(x.transpose(0, 1))[0][-1])
        return y


def test_a_sample_has_the_batch_first_wherever_the_host_has_it() -> None:
    torch.manual_seed(0)
    host = Recurrent()
    watch = ActivationRecorder(find_sites(host, ["lstm"], torch.zeros(2, 5, 3)), 10_000)
    watch.start()
    x = torch.randn(8, 5, 3)
    host(x).square().sum(1).mean().backward()
    sample = watch.samples()["lstm"]
    assert sample.input.shape == sample.output_grad.shape == (8, 5, 4) and sample.target_input.shape == (8, 5, 3)
    assert (
        torch.equal(sample.target_input, x) and sample.output_grad[:, -1].any() and not sample.output_grad[:, 0].any()
    )


def test_what_passes_in_evaluation_mode_is_no_sample() -> None:
    watch = ActivationRecorder(find_sites(VECTORS, ["0:2"], torch.zeros(2, 5)))
    watch.start()
    VECTORS.eval()(torch.ones(3, 5)).sum().backward()
    VECTORS.train()
    assert watch.samples() == {}
