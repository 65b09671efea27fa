"""The hosts: what they map to what, which sites they suggest, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmina.errors import PluginError, UsageError
from kasmina.growth.sites.find import find_sites
from kasmina.hosts.cnn import CNN
from kasmina.hosts.mlp import MLP
from kasmina.hosts.transformer import Transformer
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import make, options
from kasmina.records import Data
from kasmina.run.options.config import Config, PluginChoice, Settings
from kasmina.run.preparation import build_host
from kasmina.run.seeding import seed_everything

SIZE = st.integers(1, 6)
SHAPES = {
    "mlp": st.lists(SIZE, min_size=1, max_size=3).map(tuple),
    "cnn": st.tuples(SIZE, SIZE, SIZE),
    "transformer": st.tuples(SIZE, SIZE) | st.tuples(SIZE, SIZE, SIZE),
}
HOSTS = {
    "mlp": st.builds(MLP, hidden=SIZE, depth=st.integers(0, 3)),
    "cnn": st.builds(CNN, width=SIZE, depth=st.integers(1, 4)),
    "transformer": st.builds(
        lambda heads, times, **more: Transformer(heads=heads, width=heads * times, **more),
        heads=st.integers(1, 3),
        times=st.integers(1, 3),
        depth=st.integers(1, 3),
        hidden=SIZE,
        dropout=st.sampled_from([0.0, 0.3]),
    ),
}


@pytest.mark.parametrize("name", HOSTS)
@given(data=st.data(), outputs=SIZE)
@settings(deadline=None, max_examples=30)
def test_any_host_maps_any_fit_sample_and_all_its_sites_can_be_used(name: str, data: Any, outputs: Any) -> None:
    plugin, in_shape = data.draw(HOSTS[name]), data.draw(SHAPES[name])
    host, x = plugin.build(in_shape=in_shape, outputs=outputs), torch.randn(3, *in_shape)
    assert host(x).shape == (3, outputs)
    assert list(find_sites(host, plugin.default_sites, x)) == list(plugin.default_sites)
    host.train()(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in host.parameters())
    assert torch.allclose(host.eval()(x)[:1], host(x[:1]), atol=1e-5)


@pytest.mark.parametrize("name", HOSTS)
def test_every_option_has_a_default_and_a_help(name: str) -> None:
    cls = type(make(find("host", name), {}))
    assert cls.__doc__
    assert all(option.default is not None and option.help for option in options(cls))


@pytest.mark.parametrize(
    ("plugin", "in_shape"),
    [(CNN(), (2,)), (CNN(), (3, 4)), (CNN(), (1, 2, 3, 4)), (Transformer(), (2,)), (Transformer(), (1, 2, 3, 4))],
)
def test_what_is_no_image_or_sequence_is_refused(plugin: Any, in_shape: Any) -> None:
    with pytest.raises(UsageError) as caught:
        plugin.build(in_shape=in_shape, outputs=2)
    assert str(in_shape) in str(caught.value) and "\n" not in str(caught.value) and "--host mlp" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "wrong", "part"),
    [
        ("cnn", {"width": 0}, "width"),
        ("cnn", {"depth": 0}, "depth"),
        ("transformer", {"width": 9}, "'width' must be a multiple of 'heads'"),
        ("transformer", {"dropout": 1.0}, "dropout"),
        ("transformer", {"heads": 0}, "heads"),
        ("mlp", {"hidden": 2**63}, "hidden"),
        ("mlp", {"depth": 10**9}, "depth"),
        ("cnn", {"width": 10**12}, "width"),
        ("transformer", {"hidden": 10**12}, "hidden"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, wrong: Any, part: Any) -> None:
    with pytest.raises(UsageError, match=part):
        make(find("host", name), wrong)


def test_a_transformer_reads_the_rows_of_an_image_as_tokens() -> None:
    host = Transformer().build((2, 3, 4), 5).eval()
    x = torch.randn(6, 2, 3, 4)
    rows = torch.stack([x[:, :, row].flatten(1) for row in range(3)], 1)
    assert torch.equal(host(x), host(rows))


def test_layers_of_a_transformer_begin_apart() -> None:
    host = Transformer(depth=2).build((3, 4), 2)
    first, second = (host.get_parameter(f"encoder.layers.{number}.linear1.weight") for number in range(2))
    assert not torch.equal(first, second)


class Odd:
    """A host's plugin that does what it is told."""

    def __init__(self, build: Any) -> None:
        self.build = build


def built(plugin: Any) -> Any:
    """What becomes of a host's plugin in a run on two numbers a sample."""
    data = Data(np.zeros((4, 2), np.float32), np.zeros(4, int), "classification", ("a", "b"))
    named = {kind: PluginChoice("odd", {}) for kind in ("task", "host", "controller", "blueprint")}
    config = Config(**named, alternatives=(), loggers=(), phases=(), settings=Settings())
    return build_host(plugin, config, data, torch.zeros(2, 2))


def test_a_host_too_large_for_the_machine_is_refused_before_it_takes_memory() -> None:
    plugin = MLP(hidden=1 << 20, depth=64)  # 280 TB
    with pytest.raises(UsageError, match="GiB"):
        built(plugin)


@pytest.mark.parametrize(
    "error", [RuntimeError("can't allocate"), MemoryError(), TypeError("Overflow"), ValueError("x")]
)
def test_a_host_that_cannot_be_built_is_one_sentence(error: Any) -> None:
    def build(in_shape: Any, outputs: Any) -> None:
        raise error

    with pytest.raises(PluginError, match="host 'odd' cannot be built") as caught:
        built(Odd(build))
    assert "\n" not in str(caught.value)


def test_the_look_at_its_size_does_not_change_how_a_host_begins() -> None:
    host = built(MLP(hidden=3))
    seed_everything(torch.device("cpu"), Settings().seed)
    assert all(map(torch.equal, host.state_dict().values(), MLP(hidden=3).build((2,), 2).state_dict().values()))
