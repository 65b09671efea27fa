"""A run's folder: a new one is never an old one, and a file in it is whole or not there."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from kasmina.errors import UsageError
from kasmina.files import write
from kasmina.run import folder as folder_module
from kasmina.run.folder import Folder


def nothing(folder: Folder) -> None:
    """Nothing is to be written before config.yaml."""


@given(st.binary(), st.binary())
def test_write_replaces_the_whole_content_and_leaves_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, first: bytes, second: bytes
) -> None:
    path = tmp_path_factory.mktemp("write") / "deep" / "file.bin"
    for content in (first, second):
        write(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file.bin"]


@pytest.mark.parametrize("breaks", ["fsync", "replace"])
def test_a_write_that_breaks_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    path = tmp_path / "summary.json"
    write(path, b"old")

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync", full), "replace": (os, "replace", full)}[breaks])
    with pytest.raises(OSError, match="No space"):
        write(path, b"new and longer")
    assert path.read_bytes() == b"old"


def test_the_content_is_on_the_disk_before_the_name_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    replace = os.replace

    def replacing(old: str, new: str) -> None:
        order.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", lambda file: order.append("fsync"))
    monkeypatch.setattr(os, "replace", replacing)
    write(tmp_path / "file", b"content")
    assert order[:2] == ["fsync", "replace"]


@given(st.sets(st.integers(1, 12)))
def test_a_run_without_a_name_takes_the_first_number_that_is_free(
    tmp_path_factory: pytest.TempPathFactory, taken: set[int]
) -> None:
    here = tmp_path_factory.mktemp("numbers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        for number in taken:
            Folder.new(Path(f"runs/moons-{number}"), "moons").make(b"", nothing)
        free = min(set(range(1, 14)) - taken)
        assert Folder.new(None, "moons").path == Path(f"runs/moons-{free}")
        assert Folder.new(None, "spirals").path == Path("runs/spirals-1")


def test_runs_that_begin_at_once_get_a_number_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them have found the same number free before the first takes it."""
    monkeypatch.chdir(tmp_path)
    chosen = Barrier(20)

    def begin(content: bytes) -> tuple[Folder, bytes]:
        folder = Folder.new(None, "spirals")
        chosen.wait()
        return folder.make(content, nothing)[0], content

    with ThreadPoolExecutor(20) as threads:
        made = list(threads.map(begin, [b"seed: %d" % number for number in range(20)]))
    assert {folder.path for folder, _ in made} == {Path(f"runs/spirals-{number}") for number in range(1, 21)}
    assert all(folder.config.read_bytes() == content for folder, content in made)


def test_a_place_for_runs_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").symlink_to("nowhere")
    with pytest.raises(UsageError, match="runs/spirals-1 cannot be written: File exists"):
        Folder.new(None, "spirals").make(b"", nothing)


def test_a_new_folder_is_not_made_before_it_is_due(tmp_path: Path) -> None:
    Folder.new(tmp_path / "run", "moons")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_exists_is_no_new_folder(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    path.mkdir() if kind == "folder" else path.touch()
    with pytest.raises(UsageError, match="exists already.*--out"):
        Folder.new(path, "moons")


def test_a_folder_that_somebody_else_made_in_between_is_not_written_into(tmp_path: Path) -> None:
    folders = [Folder.new(tmp_path / "run", "moons") for _ in range(2)]
    folders[0].make(b"seed: 1", nothing)
    with pytest.raises(UsageError, match="run cannot be written"):
        folders[1].make(b"seed: 2", nothing)
    assert "1" in folders[0].config.read_text()


def test_a_dangling_link_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="--out"):
        Folder.new(tmp_path / "run", "moons").make(b"", nothing)


@pytest.mark.parametrize("place", ["file/run", "long"])
def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / (place if place != "long" else "x" * 300)
    with pytest.raises(UsageError) as caught:
        Folder.new(path, "moons").make(b"", nothing)
    assert "cannot be written" in str(caught.value) and "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_old_folder_has_a_config(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="not the folder of a run"):
            Folder.old(path)
    Folder.new(tmp_path / "run", "moons").make(b"", nothing)
    assert Folder.old(tmp_path / "run").config.is_file()


def test_a_folder_that_could_not_be_begun_is_not_left_behind(tmp_path: Path) -> None:
    def full(folder: Folder) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left on device"):
        Folder.new(tmp_path / "run", "moons").make(b"", full)
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "run"
    Folder.new(path, "moons").make(b"", nothing)
    with Folder.old(path).locked():
        with pytest.raises(UsageError, match="run is in use by another process"), Folder.old(path).locked():
            pass
    with Folder.old(path).locked():
        pass


def test_a_lock_that_learns_when_it_is_taken_whether_to_wait_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """filelock's take `blocking` at their making from 3.14 on, and any from 3.12 is declared to be enough."""
    monkeypatch.setattr(folder_module, "FileLock", lambda path, timeout=-1: FileLock(path, timeout))
    with Folder(tmp_path).locked():
        with pytest.raises(UsageError, match="in use by another process"), Folder(tmp_path).locked():
            pass


@given(st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text() | st.none() | st.integers()))
def test_the_summary_is_read_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, summary: dict[str, Any]) -> None:
    folder = Folder(tmp_path_factory.mktemp("summary"))
    folder.write_summary(summary)
    assert json.loads(folder.summary.read_text()) == summary
