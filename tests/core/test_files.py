"""Files of strangers cannot hang, fill the memory, or lead what is written astray."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kasmina import files
from kasmina.errors import UsageError
from kasmina.files import write
from kasmina.run.folder import Folder
from kasmina.run.options.config import configure
from kasmina.tasks.file import File

NAMED = {kind: "none" for kind in ("task", "host", "controller", "blueprint")}
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path / "pipe.csv"


def test_pipes_and_devices_are_not_waited_for(pipe: Path) -> None:
    for path in (pipe, Path("/dev/zero"), Path("/dev/tty")):
        with pytest.raises(OSError):
            files.read(path)
        with pytest.raises(UsageError):
            configure(path, NAMED)
        with pytest.raises(UsageError):
            File(str(path)).load()


@given(st.binary(max_size=100), st.integers(0, 100))
def test_no_more_is_read_than_was_allowed(tmp_path_factory: pytest.TempPathFactory, content: bytes, limit: int) -> None:
    path = tmp_path_factory.mktemp("read") / "file"
    path.write_bytes(content)
    if len(content) > limit:
        with pytest.raises(OSError, match="too large"):
            files.read(path, limit)
    else:
        assert files.read(path, limit) == files.read(path) == content


def test_a_file_larger_than_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huge.csv").write_bytes(b"a,target\n" * 1000)
    monkeypatch.setattr(files, "memory", lambda: 5000)
    with pytest.raises(OSError, match="too large"):
        files.read(tmp_path / "huge.csv")
    with pytest.raises(UsageError, match="memory"):
        File(str(tmp_path / "huge.csv")).load()


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_a_small_file_that_unpacks_to_more_than_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"bomb.{kind}"
    if kind == "npz":
        np.savez_compressed(path, x=np.zeros((100_000, 8)), y=np.zeros(100_000))
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"a": np.zeros(500_000), "target": np.zeros(500_000)}), path)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(files, "memory", lambda: 4_000_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("was unpacked"))
    with pytest.raises(UsageError, match="unpacks to"):
        File(str(path)).load()


@pytest.mark.parametrize(
    "text",
    [LAUGHS, MERGES, "host: &a [*a]", "host: &a {name: *a}", "[" * 20_000, "{a: " * 9000, "seed: 2001-99-99"]
    + ["seed: !!bool x", "seed: !!timestamp x", "seed: !!int ''"],
    ids=lambda text: text[:20],
)
def test_yaml_that_grows_or_breaks_its_reader_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UsageError, match="is not YAML"):
        configure(tmp_path / "config.yaml", NAMED)


def test_a_link_in_the_way_of_a_write_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    for name in (".model.pt.part", "model.pt"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    write(tmp_path / "model.pt", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "model.pt").read_bytes() == b"new" and not (tmp_path / "model.pt").is_symlink()


@given(st.text() | st.sampled_from(["..", "../..", "/etc/x", "a/../../b", "", ".", "x" * 5000, "\0", "~", "\udc80"]))
def test_whatever_a_task_is_called_its_folder_lies_in_runs(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    here = tmp_path_factory.mktemp("names")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        folder = Folder.new(None, name)
        folder.make(b"", lambda made: None)
        assert folder.path.resolve().parent == here / "runs"
        assert [path.parent for path in here.rglob("config.yaml")] == [here / folder.path]
