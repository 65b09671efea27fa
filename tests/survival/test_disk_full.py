"""A disk that is full, or a folder that is gone, while a run saves and logs: it goes on, or ends with one sentence."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from damage import EPOCHS, begin, ending

from kasmina.errors import KasminaError
from kasmina.run.checkpoints.callback import CheckpointCallback
from kasmina.run.experiment import resume_experiment, run_experiment
from kasmina.run.options.config import configure

HIDDEN, TRIES = 200, 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    begin(folder, HIDDEN)
    return ending(folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Some checkpoints large."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here: it takes the rights of root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> None:
    """To the last byte, whatever is removed meanwhile."""
    with (disk / "ballast").open("ab", buffering=0) as ballast:
        for size in (4096, 1):
            while True:
                try:
                    ballast.write(bytes(size))
                except OSError:
                    break


def free(disk: Path) -> None:
    (disk / "ballast").unlink(missing_ok=True)


def play(out: Path, acts: dict[int, Callable[[], None]]) -> list[str]:
    """A run in which something happens after some steps; its warnings."""
    told: list[str] = []
    due, on_step = sorted(acts.items()), CheckpointCallback.on_step

    def acting(keeper: CheckpointCallback) -> None:
        while due and due[0][0] <= keeper.run.growth.step:
            due.pop(0)[1]()
        on_step(keeper)

    options = {"controller": "always", "loggers": {"rich": False}, "device": "cpu"}
    sets = [f"host.hidden={HIDDEN}", "controller.seeds=2"]
    with mock.patch.object(CheckpointCallback, "on_step", acting):
        run_experiment(configure(None, options, sets, EPOCHS), out, told.append)
    return told


def moments(number: int) -> tuple[int, int]:
    """After which steps it begins and ends; the run has 15 an epoch or more."""
    begin, end = sorted(random.Random(number).sample(range(1, 15 * (EPOCHS - 1)), 2))
    return begin, end


@pytest.mark.parametrize("number", range(TRIES))
def test_a_disk_that_was_full_for_a_while_costs_a_warning(disk: Path, whole: dict[str, Any], number: int) -> None:
    begin, end = moments(number)
    told = play(disk / "run", {begin: lambda: fill(disk), end: lambda: free(disk)})
    assert ending(disk / "run") == whole
    assert len(told) <= 2 and all("checkpoint" in warning for warning in told), told


@pytest.mark.parametrize("number", range(TRIES))
def test_a_disk_that_stays_full_ends_the_run_with_a_sentence_and_it_is_resumed(
    disk: Path, whole: dict[str, Any], number: int
) -> None:
    begin, _ = moments(number)
    with pytest.raises(KasminaError) as caught:
        play(disk / "run", {begin: lambda: fill(disk)})
    assert "\n" not in str(caught.value) and "No space left" in str(caught.value) and "--resume" in str(caught.value)
    assert caught.value.exit_code == 1
    free(disk)
    resume_experiment(disk / "run", lambda warning: None)
    assert ending(disk / "run") == whole


@pytest.mark.parametrize("number", range(3))
def test_a_folder_that_is_removed_ends_the_run_with_a_sentence(tmp_path: Path, number: int) -> None:
    begin, _ = moments(number)
    with pytest.raises(KasminaError) as caught:
        play(tmp_path / "run", {begin: lambda: shutil.rmtree(tmp_path / "run", ignore_errors=True)})
    assert "\n" not in str(caught.value) and "No such file" in str(caught.value)
    assert not os.path.exists(tmp_path / "run" / "checkpoints")
