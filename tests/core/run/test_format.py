"""A checkpoint is read back to the bit or refused in one sentence, whatever has become of its files."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packable import SHORT, TREES, bits, tensors
from safetensors import safe_open
from safetensors.torch import load_file

from kasmina.errors import KasminaError, UsageError
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.checkpoints.format import (
    FORMAT,
    Damaged,
    listed,
    path_of,
    read_checkpoint,
    remove_others,
    write_checkpoint,
)
from kasmina.run.checkpoints.packing import pack

FACTS = Facts("0" * 64, "1" * 64, {}, epoch=3, step=40, seconds=0.5, loss=0.25, best=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = path_of(tmp_path, 1)
    state = {"weight": torch.randn(40, 30), "count": torch.arange(5), "rate": 0.1, "loss": float("nan"), "none": None}
    write_checkpoint(path, pack(state), FACTS)
    return path


def files_of(path: Path) -> tuple[Path, Path]:
    return path, path.with_suffix(".safetensors")


def damage(path: Path) -> str:
    with pytest.raises(Damaged) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and path.stem in str(caught.value)
    return str(caught.value)


@given(TREES)
def test_what_is_written_is_read_to_the_bit(folder: Path, tree: Any) -> None:
    write_checkpoint(path_of(folder, 1), pack({"tree": tree}), FACTS)
    read = read_checkpoint(path_of(folder, 1))
    assert bits(read.state["tree"]) == bits(tree)
    assert read.facts == FACTS


@given(st.dictionaries(st.one_of(SHORT, st.text(min_size=1)), tensors(), min_size=1, max_size=8))
def test_the_safetensors_library_reads_the_file(folder: Path, named: dict[str, torch.Tensor]) -> None:
    packed = pack(named)
    write_checkpoint(path_of(folder, 2), packed, FACTS)
    file = path_of(folder, 2).with_suffix(".safetensors")
    found = load_file(file)
    assert {name: bits(tensor) for name, tensor in found.items()} == {
        name: bits(packed.tensor(name)) for name in packed.layout
    }
    with safe_open(file, "pt") as opened:
        assert set(opened.keys()) == set(packed.layout)


def test_every_tensor_is_aligned(tmp_path: Path) -> None:
    state = [torch.ones(3, dtype=dtype) for dtype in (torch.bool, torch.float64, torch.uint8, torch.bfloat16)]
    write_checkpoint(path_of(tmp_path, 1), pack(state), FACTS)
    content = path_of(tmp_path, 1).with_suffix(".safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    sizes = {"BOOL": 1, "F64": 8, "U8": 1, "BF16": 2}
    assert all((8 + length + entry["data_offsets"][0]) % sizes[entry["dtype"]] == 0 for entry in header.values())


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    state = {"weight": torch.ones(3), "rate": 0.1}
    for number in (1, 2):
        write_checkpoint(path_of(tmp_path, number), pack(state), FACTS)
    one, two = ([file.read_bytes() for file in files_of(path_of(tmp_path, number))] for number in (1, 2))
    assert one == two


# -- damage ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 1), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_one_bit_that_is_another_is_seen(folder: Path, which: int, share: float, bit: int) -> None:
    path = path_of(folder, 3)
    write_checkpoint(path, pack({"weight": torch.arange(60.0), "rate": 0.1}), FACTS)
    file = files_of(path)[which]
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    file.write_bytes(content)
    with pytest.raises((Damaged, UsageError)) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and path.stem in str(caught.value)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_was_cut_is_seen(saved: Path, which: int, share: float) -> None:
    file = files_of(saved)[which]
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    damage(saved)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "spoil",
    [Path.unlink, lambda file: (file.unlink(), file.mkdir()), lambda file: (file.unlink(), file.symlink_to("."))],
)
def test_a_file_that_is_missing_or_no_file_is_seen(saved: Path, which: int, spoil: Callable[[Path], object]) -> None:
    spoil(files_of(saved)[which])
    assert "cannot be read" in damage(saved)


def test_files_of_two_checkpoints_are_not_taken_for_one(saved: Path) -> None:
    other = path_of(saved.parent, 2)
    write_checkpoint(other, pack({"weight": torch.randn(40, 30)}), FACTS)
    other.with_suffix(".safetensors").replace(saved.with_suffix(".safetensors"))
    assert "digest" in damage(saved)


@given(st.binary(max_size=200), st.integers(0, 1))
def test_whatever_bytes_stand_in_a_file_it_is_damaged(folder: Path, content: bytes, which: int) -> None:
    path = path_of(folder, 4)
    write_checkpoint(path, pack({"weight": torch.ones(2)}), FACTS)
    files_of(path)[which].write_bytes(content)
    damage(path)


@pytest.mark.parametrize("content", [[], 3, None, "text", {}, {"format": FORMAT}, {"format": "2"}, [[[]]] * 9], ids=str)
def test_json_of_another_shape_is_damaged(saved: Path, content: Any) -> None:
    saved.write_text(json.dumps(content))
    damage(saved)


@pytest.mark.parametrize("format", [FORMAT + 1, FORMAT - 1, 0, 10**30])
def test_another_format_is_refused_and_both_are_named(saved: Path, format: int) -> None:
    saved.write_text(json.dumps(json.loads(saved.read_text()) | {"format": format}))
    with pytest.raises(UsageError, match=rf"has format {format};.* reads format {FORMAT}$"):
        read_checkpoint(saved)


class Bomb:
    """Whoever unpickles it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.trace),)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_planted_pickle_is_refused_and_not_opened(saved: Path, tmp_path: Path, which: int, form: str) -> None:
    trace = tmp_path / "exploded"
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists()
    trace.unlink()
    if form == "pickle":
        files_of(saved)[which].write_bytes(pickle.dumps(Bomb(trace)))
    else:
        torch.save(Bomb(trace), files_of(saved)[which])
    damage(saved)
    assert not trace.exists()


# -- several -----------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(1, 2 * 10**6), max_size=6), st.data())
def test_only_what_is_kept_is_left(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("several")
    for number in numbers:
        write_checkpoint(path_of(folder, number), pack({}), FACTS)
    (folder / ".000009.json.part").write_text("left by a crash")
    (folder / "999999.safetensors").write_text("left by a crash")
    (folder / "notes.txt").write_text("not of ours")
    assert [number for number, _ in listed(folder)] == sorted(numbers, reverse=True)
    keep = data.draw(st.sets(st.sampled_from(sorted(numbers)))) if numbers else set()
    remove_others(folder, keep)
    left = {path.name for path in folder.iterdir()}
    assert left == {"notes.txt"} | {file.name for number in keep for file in files_of(path_of(folder, number))}


@pytest.mark.parametrize("fails", [".safetensors", ".json"])
def test_one_that_cannot_be_written_is_not_there(tmp_path: Path, fails: str) -> None:
    path = path_of(tmp_path, 7)
    path.with_suffix(fails).mkdir()
    with pytest.raises(OSError):
        write_checkpoint(path, pack({"weight": torch.ones(2)}), FACTS)
    with pytest.raises(KasminaError):
        read_checkpoint(path)
    assert not list(tmp_path.glob(".*"))
