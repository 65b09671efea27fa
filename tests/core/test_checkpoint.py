"""What was saved is read back to the bit; what was not saved by Kasmina, or is damaged, is refused in one sentence."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kasmina.errors import UsageError
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.site import find_places
from kasmina.plugins.strict import structure
from kasmina.records import SeedState
from kasmina.run.checkpoint import FORMAT, read_checkpoint, write_checkpoint
from kasmina.run.data import Scaler, Split, Splits

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


class Tied(nn.Module):
    """Two names for one weight, a buffer, and a view into another tensor's memory."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.second.weight = self.first.weight
        self.register_buffer("count", torch.arange(4))
        self.register_buffer("part", self.count[1:3])
        self.register_buffer("across", torch.randn(width, 3).T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


def splits(outputs: bool) -> Splits:
    part = Split(torch.randn(3, 2), torch.randn(3, 2))
    scaler = Scaler(torch.randn(2), torch.rand(2) + 0.5)
    return Splits(part, part, part, scaler, scaler if outputs else None)


def grown(width: int, dtype: torch.dtype, seeds: int, seed: int = 0) -> tuple[nn.Module, Manager]:
    torch.manual_seed(seed)
    host = Tied(width).to(dtype)
    optimizer = torch.optim.SGD(host.parameters(), lr=0.1)
    places = find_places(host, ["first", "second"], torch.randn(2, width, dtype=dtype))
    manager = Manager(places, optimizer, Durations(1, 3, 1), seed=seed)
    for site in ["first", "second"][:seeds]:
        manager.germinate(site, lambda site: nn.Linear(site.in_features, site.out_features), "linear")
        manager.after_step()
        manager.after_step()
    return host, manager


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A good checkpoint with one seed."""
    path = tmp_path / "checkpoints" / "last.json"
    write_checkpoint(path, *grown(3, torch.float32, 1), splits(False))
    return path


def bits(tensor: torch.Tensor) -> tuple:
    return tensor.dtype, tuple(tensor.shape), tensor.contiguous().flatten().view(torch.uint8).tolist()


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    return str(caught.value)


@given(st.integers(1, 5), st.sampled_from(DTYPES), st.integers(0, 2), st.booleans(), st.integers(0, 2**31))
@settings(deadline=None)
def test_saved_is_saved_to_the_bit(tmp_path_factory, width, dtype, seeds, outputs, seed):
    path = tmp_path_factory.mktemp("checkpoint") / "last.json"
    host, manager = grown(width, dtype, seeds, seed)
    with torch.no_grad():
        host.first.bias[0] = float("nan")
        host.second.bias[0] = -0.0
    data = splits(outputs)
    write_checkpoint(path, host, manager, data)
    read = read_checkpoint(path)

    due = {name: bits(tensor) for name, tensor in host.state_dict().items()}
    assert {name: bits(tensor) for name, tensor in read.part("host.").items()} == due
    for id, grown_seed in manager.seeds.items():
        due = {name: bits(tensor) for name, tensor in grown_seed.body.state_dict().items()}
        assert {name: bits(tensor) for name, tensor in read.part(f"seed.{id}.").items()} == due
    for name, tensor in data.scalers().items():
        assert bits(read.tensors[name]) == bits(tensor)
    states = [seed.state for seed in manager.seeds.values()]
    assert [structure(record, SeedState, "seeds") for record in read.seeds] == states


def test_tied_weights_are_still_tied_when_loaded_into_a_host_that_ties_them(saved):
    host = Tied(3)
    host.load_state_dict(read_checkpoint(saved).part("host."))
    assert host.second.weight is host.first.weight


def test_a_later_checkpoint_replaces_the_earlier_one(saved):
    host, manager = grown(5, torch.bfloat16, 0, 1)
    write_checkpoint(saved, host, manager, splits(True))
    read = read_checkpoint(saved)
    assert read.seeds == [] and read.tensors["host.first.weight"].shape == (5, 5)
    assert sorted(entry.name for entry in saved.parent.iterdir()) == ["last.json", "last.safetensors"]


def test_writing_changes_nothing_of_the_host(tmp_path):
    host, manager = grown(3, torch.float32, 2)
    before = {name: bits(tensor) for name, tensor in host.state_dict().items()}
    data, random = splits(True), torch.get_rng_state()
    write_checkpoint(tmp_path / "last.json", host, manager, data)
    assert {name: bits(tensor) for name, tensor in host.state_dict().items()} == before
    assert host.second.weight is host.first.weight and host.first.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), random)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_was_cut_is_refused(saved, suffix, share):
    file = saved.with_suffix(suffix)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert "damaged" in refusal(saved)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_file_that_is_missing_is_refused(saved, suffix):
    saved.with_suffix(suffix).unlink()
    assert "No such file" in refusal(saved)


@given(st.binary(max_size=200), st.sampled_from([".json", ".safetensors"]))
@settings(deadline=None)
def test_whatever_bytes_stand_in_a_file_they_are_refused(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("noise") / "last.json"
    write_checkpoint(path, *grown(1, torch.float32, 0), splits(False))
    path.with_suffix(suffix).write_bytes(content)
    refusal(path)


@pytest.mark.parametrize("format", [FORMAT + 1, 0, "1", None])
def test_another_format_is_refused_and_both_are_named(saved, format):
    record = json.loads(saved.read_text()) | {"format": format}
    saved.write_text(json.dumps(record))
    assert f"format {format}" in refusal(saved) and f"format {FORMAT}" in refusal(saved)


@pytest.mark.parametrize("content", [[], 3, None, "text", {}, {"format": FORMAT}], ids=str)
def test_json_of_another_shape_is_refused(saved, content):
    saved.write_text(json.dumps(content))
    assert "damaged" in refusal(saved)


class Bomb:
    """Whoever unpickles it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self):
        return Path.touch, (Path(self.trace),)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_planted_pickle_is_refused_and_not_opened(saved, tmp_path, suffix, form):
    trace = tmp_path / "exploded"
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists()
    trace.unlink()
    if form == "pickle":
        saved.with_suffix(suffix).write_bytes(pickle.dumps(Bomb(trace)))
    else:
        torch.save(Bomb(trace), saved.with_suffix(suffix))
    assert "damaged" in refusal(saved)
    assert not trace.exists()
