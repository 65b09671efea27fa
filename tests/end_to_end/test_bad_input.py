"""Wrong words and wrong files cost one line on standard error, exit status 2, and nothing on the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kasmina.cli.main import main

KASMINA = Path(sys.executable).parent / "kasmina"

ROWS = "".join(f"{n},{n * n % 7},{n % 3}\n" for n in range(200))
TABLES: dict[str, str | bytes] = {
    "good.csv": "a,b,target\n" + ROWS,
    "no-target.csv": "a,b,c\n" + ROWS,
    "text.csv": "a,b,target\n" + ROWS + "many,3,1\n",
    "nan.csv": "a,b,target\n" + ROWS + "nan,3,1\n",
    "hole.csv": "a,b,target\n" + ROWS + ",3,1\n",
    "one-class.csv": "a,b,target\n" + "".join(f"{n},{n % 5},1\n" for n in range(200)),
    "few.csv": "a,b,target\n" + "".join(f"{n},{n % 5},{n % 2}\n" for n in range(20)),
    "empty.csv": "",
    "header.csv": "a,b,target\n",
    "binary.csv": bytes(range(256)) * 20,
    "ragged.csv": "a,b,target\n" + ROWS + "1,2\n",
}
CONFIGS: dict[str, str | bytes] = {
    "broken.yaml": "host: [",
    "list.yaml": "- host\n- task\n",
    "words.yaml": "only words",
    "unknown.yaml": "colour: blue\n",
    "tag.yaml": "seed: !!python/object/apply:os.mkdir [planted]\n",
}

WORDS = {
    "unknown task": (["--task", "spiral"], ["task", "'spiral'", "did you mean", "spirals"]),
    "unknown host": (["--host", "mpl"], ["host", "'mpl'", "mlp"]),
    "unknown controller": (["--controller", "heuristics"], ["controller", "'heuristics'", "heuristic"]),
    "unknown blueprint": (["--blueprint", "bottle"], ["blueprint", "'bottle'", "bottleneck"]),
    "unknown logger": (["--logger", "ritch"], ["logger", "'ritch'", "rich"]),
    "unknown logger to leave out": (["--no-logger", "ritch"], ["logger", "'ritch'", "rich"]),
    "unknown option of the command": (["--epoch-count", "3"], ["--epoch-count"]),
    "unknown setting": (["--set", "colour=blue"], ["'colour'"]),
    "unknown option of the host": (["--set", "host.wide=3"], ["host.wide", "hidden"]),
    "unknown option of the controller": (["--set", "controller.patient=3"], ["controller.patient", "patience"]),
    "bad value of an option": (["--set", "host.hidden=wide"], ["host.hidden", "wide"]),
    "option out of bounds": (["--set", "host.hidden=0"], ["host", "hidden", "0"]),
    "unknown phase": (["--set", "phases.warmup.epochs=3"], ["phases.warmup", "warm-up"]),
    "unknown site": (["--site", "layer.*"], ["layer.*", "layers"]),
    "unknown device": (["--device", "tpu"], ["tpu", "cpu"]),
    "device not there": (["--device", "cuda"], ["cuda", "cpu or auto"]),
    "no epochs": (["--epochs", "0"], ["--epochs", "0"]),
    "negative epochs": (["--epochs", "-3"], ["--epochs", "-3"]),
    "epochs in words": (["--epochs", "ten"], ["--epochs", "ten"]),
    "negative seed": (["--seed", "-1"], ["--seed", "-1"]),
    "set without =": (["--set", "host.hidden"], ["--set host.hidden", "KEY=VALUE"]),
    "set that is no YAML": (["--set", "host.hidden=["], ["--set host.hidden=["]),
    "argument too many": (["more"], ["more"]),
    "folder exists": (["--out", "there"], ["there exists already", "--out"]),
    "folder is a file": (["--out", "good.csv"], ["good.csv exists already"]),
    "folder below a file": (["--out", "good.csv/run"], ["good.csv/run", "--out"]),
    "folder below /proc": (["--out", "/proc/kasmina/run"], ["/proc/kasmina/run", "--out"]),
    "folder of a name too long": (["--out", "x" * 300], ["too long", "--out"]),
    "config missing": (["--config", "none.yaml"], ["none.yaml", "No such file"]),
    "config is a folder": (["--config", "there"], ["there"]),
    "config not text": (["--config", "binary.csv"], ["binary.csv"]),
    **{f"config {name}": (["--config", name], [name]) for name in CONFIGS if name != "unknown.yaml"},
    "config with an unknown option": (["--config", "unknown.yaml"], ["colour"]),
}
FILES = {
    "missing": ("god.csv", ["god.csv", "good.csv"]),
    "a folder": ("there", ["there", "folder"]),
    "without a target column": ("no-target.csv", ["no-target.csv", "'target'", "task.label"]),
    "with text": ("text.csv", ["text.csv", "'a'", "many", "line 202"]),
    "with NaN": ("nan.csv", ["nan.csv", "'a'"]),
    "with a hole": ("hole.csv", ["hole.csv", "'a'"]),
    "of one class": ("one-class.csv", ["one-class.csv", "single class"]),
    "empty": ("empty.csv", ["empty.csv", "empty"]),
    "of a header alone": ("header.csv", ["header.csv", "no rows"]),
    "binary": ("binary.csv", ["binary.csv"]),
    "ragged": ("ragged.csv", ["ragged.csv", "line 202", "2 fields"]),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all these files, and a folder that is there already."""
    monkeypatch.chdir(tmp_path)
    for name, content in (TABLES | CONFIGS).items():
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("there").mkdir()
    return tmp_path


def listed(here: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime_ns for path in [here, *here.rglob("*")]}


def check(error: str, parts: list[str]) -> None:
    assert error.startswith("kasmina: ") and error.endswith("\n") and error.count("\n") == 1, error
    assert "Traceback" not in error and "unexpected:" not in error
    assert [part for part in parts if part not in error] == [], error


def refused(here: Path, capfd: pytest.CaptureFixture[str], words: list[str], parts: list[str]) -> None:
    before = listed(here)
    assert main(["run", "--epochs", "2", *words]) == 2
    out, error = capfd.readouterr()
    assert out == "" or out.startswith("preparing to ") and out.count("\n") == 1
    check(error, parts)
    assert listed(here) == before


@pytest.mark.parametrize("case", WORDS)
def test_wrong_words(here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    if case == "device not there":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused(here, capfd, *WORDS[case])


@pytest.mark.parametrize("case", FILES)
def test_a_table_that_cannot_be_learned(here: Path, capfd: pytest.CaptureFixture[str], case: str) -> None:
    name, parts = FILES[case]
    refused(here, capfd, ["--task", "file", "--set", f"task.path={name}"], parts)


def test_a_task_without_its_file(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(here, capfd, ["--task", "file"], ["task.path=FILE"])


@pytest.mark.parametrize("word", ["none", "there", "good.csv"])
def test_evaluate_of_what_is_no_run(here: Path, capfd: pytest.CaptureFixture[str], word: str) -> None:
    assert main(["evaluate", word]) == 2
    check(capfd.readouterr().err, [word, "not the folder of a run"])


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--task", "spiral"],
        ["run", "--task", "file", "--set", "task.path=text.csv"],
        ["run", "--out", "good.csv/run"],
        ["runn"],
    ],
    ids=" ".join,
)
def test_the_installed_command_refuses_in_one_line(here: Path, words: list[str]) -> None:
    before = listed(here)
    done = subprocess.run([KASMINA, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert not done.stdout or done.stdout.startswith("preparing to ") and done.stdout.count("\n") == 1
    check(done.stderr, [])
    assert listed(here) == before
