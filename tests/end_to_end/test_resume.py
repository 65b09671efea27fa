"""``kasmina run --resume``: a run that was killed ends as one that never was; what cannot be taken up says so.

The processes are real where it is they that are killed; tests/survival kills many more of them.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path

import pytest
from filelock import FileLock
from killing import Place, Reference, at_once, differences, ended, finding, killed, saving, waited
from torch import Tensor

from kasmina.cli.main import main
from kasmina.run import loop
from kasmina.run.training import Training

# -- processes ---------------------------------------------------------------------------------------------------------

SETS = ("growth.candidates=2", "growth.training=2", "growth.blending=3", "growth.probation=1", "batch=32")
HARD = (
    *("--epochs", "16", "--host", "nets:restless", "--site", "layers.0:layers.2", "--site", "layers.2:layers.4"),
    *("--controller", "fickle", "--blueprint", "dropping"),
    *(word for option in (*SETS, "checkpoint.seconds=0.03") for word in ("--set", option)),
)
"""A run in which there is always something between two states."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place.made(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def reference(place: Place) -> Reference:
    return Reference.of(place, HARD, "reference")


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_never_was(place: Place, reference: Reference) -> None:
    process, step = place.begin(HARD, "killed"), 0
    draw = random.Random(0)
    for due in (saving, finding("candidates"), at_once):
        step += draw.randint(1, max(reference.times) // 9)
        assert waited(place, "killed", process, step, due)
        kill = killed(place, "killed", process, reference)
        assert 0 < kill.step < max(reference.times)
        process = place.resume("killed")
    ended(process)
    assert differences(place.path / "killed", reference.path) == []


def test_a_run_that_is_stopped_by_signals_ends_as_one_that_never_was(place: Place, reference: Reference) -> None:
    process = place.begin(HARD, "stopped")
    for step, number in ((100, signal.SIGTERM), (200, signal.SIGINT)):
        assert waited(place, "stopped", process, step, at_once)
        process.send_signal(number)
        ended(process, 130)
        assert json.loads((place.path / "stopped" / "summary.json").read_text())["status"] == "stopped"
        assert "'kasmina run --resume stopped' goes on" in (place.path / "output").read_text().splitlines()[-1]
        process = place.resume("stopped")
    ended(process)
    assert differences(place.path / "stopped", reference.path) == []


# -- words -------------------------------------------------------------------------------------------------------------

SHORT = ["--epochs", "9", "--device", "cpu", "--no-logger", "rich", "--controller", "always"]
TABLE = ["--task", "file", "--set", "task.path=table.csv", "--set", "task.label=y", "--set", "batch=16"]


def begun(*words: str, stops: int | None = None) -> int:
    """What `kasmina run` ends with; with `stops` it is asked to stop in that step."""
    step = loop.step

    def stopping(run: Training, index: Tensor) -> None:
        step(run, index)
        run.stop |= run.growth.step == stops

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", stopping)
        try:
            return main(["run", *words])
        except SystemExit as error:
            return int(str(error.code))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is finished and the same one stopped in the middle of an epoch."""
    path = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        draw = random.Random(0)
        rows = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(120)]
        Path("table.csv").write_text("a,b,y\n" + "".join(f"{a},{b},{a * b + y / 9}\n" for a, b, y in rows))
        assert begun(*TABLE, *SHORT, "--out", "finished") == 0
        assert begun(*TABLE, *SHORT, "--out", "stopped", stops=17) == 130
    return path


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence of status 2."""
    capsys.readouterr()
    assert main(["run", *words]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("kasmina: ") and told.err.count("\n") == 1
    assert not told.out or told.out.startswith("preparing to ") and told.out.count("\n") == 1
    return told.err


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_run_that_was_stopped_goes_on_and_ends_as_the_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not differences(Path("finished"), Path("finished")) and differences(Path("stopped"), Path("finished"))
    assert main(["run", "--resume", "stopped"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("finished; everything is in stopped")
    assert differences(Path("stopped"), Path("finished")) == []


def test_a_run_goes_on_though_its_folder_was_moved(here: Path) -> None:
    Path("stopped").rename("elsewhere")
    assert main(["run", "--resume", "elsewhere"]) == 0
    assert differences(Path("elsewhere"), Path("finished")) == []


def test_a_run_that_is_stopped_twice_in_one_epoch_goes_on(here: Path) -> None:
    assert begun("--resume", "stopped", stops=18) == 130
    assert begun("--resume", "stopped", stops=19) == 130
    assert main(["run", "--resume", "stopped"]) == 0
    assert differences(Path("stopped"), Path("finished")) == []


def test_a_finished_run_says_so_and_stays_as_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(Path("finished"))
    assert main(["run", "--resume", "finished"]) == 0
    assert capsys.readouterr().out.startswith("finished is finished already")
    assert content(Path("finished")) == before
    assert main(["run", "--resume", "finished", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"


@pytest.mark.parametrize(
    "words",
    [["--epochs", "20"], ["--seed", "1"], ["--set", "batch=8"], ["--out", "other"], ["--logger", "jsonl"], TABLE[:2]],
    ids=" ".join,
)
@pytest.mark.parametrize("run", ["stopped", "finished"])
def test_options_of_a_resumed_run_are_those_it_began_with(
    here: Path, capsys: pytest.CaptureFixture[str], run: str, words: list[str]
) -> None:
    before = content(here)
    assert f"takes no {words[0]}" in refused(capsys, "--resume", run, *words)
    assert content(here) == before


def test_a_folder_in_use_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(here)
    with FileLock(Path("stopped") / ".lock"):
        assert "stopped is in use by another process" in refused(capsys, "--resume", "stopped")
    assert content(here) == before
    assert main(["run", "--resume", "stopped"]) == 0


def test_what_is_no_run_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    for word in ("empty", "nowhere", "table.csv"):
        assert f"{word} is not the folder of a run" in refused(capsys, "--resume", word)
    shutil.rmtree("stopped/checkpoints")
    assert "has no checkpoint that can be read" in refused(capsys, "--resume", "stopped")


def test_data_that_has_changed_is_refused_and_goes_on_when_it_is_back(
    made: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = made / "table.csv"  # which the run's config.yaml names in full
    before = table.read_text()
    try:
        table.write_text(before.replace("0.", "5.", 1))
        assert "is not what stopped began with; put it back" in refused(capsys, "--resume", "stopped")
        table.unlink()
        assert "table.csv" in refused(capsys, "--resume", "stopped")
    finally:
        table.write_text(before)
    assert main(["run", "--resume", "stopped"]) == 0
    assert differences(Path("stopped"), Path("finished")) == []


def test_options_that_were_edited_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path("stopped") / "config.yaml"
    config.write_text(config.read_text().replace("batch: 16", "batch: 15"))
    assert "config.yaml is not what the run began with" in refused(capsys, "--resume", "stopped")
