"""A little of what tests/survival tries by the thousand: a stopped run is resumed to the bit or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from damage import Fault, Trial, cuts, flips, formats, losses, trial

from kasmina.cli.main import main


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return trial(tmp_path_factory.mktemp("small"), 4)


@pytest.mark.parametrize(
    "faults",
    [
        lambda part: list(cuts(part, 4096))[::8],
        lambda part: flips(part, 1, seed=1),
        lambda part: list(losses(part))[::7],
        lambda part: list(formats(part))[-1:],
    ],
    ids=["cut", "bit", "lost", "format"],
)
def test_a_damaged_run_is_resumed_to_the_bit_or_refused(
    small: Trial, faults: Callable[[Path], Iterable[Fault]]
) -> None:
    for fault in faults(small.part):
        small.suffer(fault)
    assert small.wrong == []


def test_the_command_says_it_in_one_line(small: Trial, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small.part.rename(run := tmp_path / "run")
    for file in Path(run, "checkpoints").glob("*.json"):
        file.write_bytes(file.read_bytes()[:-1])
    capfd.readouterr()
    assert main(["run", "--resume", str(run)]) == 2
    out, error = capfd.readouterr()
    run.rename(small.part)
    assert out == "" or out.startswith("preparing to ") and out.count("\n") == 1
    assert error.startswith("kasmina: ") and error.count("\n") == 1 and "damaged" in error
