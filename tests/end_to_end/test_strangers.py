"""What a stranger's plugin can do wrong costs one clear sentence, and never the rest of the command line.

The strangers are real distributions, built and installed, and the command line runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "strangers"

Done = subprocess.CompletedProcess[str]
Kasmina = Callable[..., Done]


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which all strangers are installed."""
    copies, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("strangers")
    # From copies, so that building leaves nothing in the repository.
    distributions = [source for source in sorted(SOURCES.iterdir()) if (source / "pyproject.toml").exists()]
    for source in distributions:
        (copies / source.name).mkdir()
        for file in source.iterdir():
            if file.is_file():
                (copies / source.name / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    folders = [str(copies / source.name) for source in distributions]
    subprocess.run([*pip, "--target", str(target), *folders], check=True, timeout=600)
    return target


@pytest.fixture
def kasmina(strangers: Path, tmp_path: Path) -> Kasmina:
    """``kasmina ARGUMENTS`` beside the strangers, in an empty folder."""

    def call(*arguments: str, **environment: str) -> Done:
        path = os.pathsep.join(filter(None, [str(strangers), os.environ.get("PYTHONPATH")]))
        return subprocess.run(
            [sys.executable, "-m", "kasmina", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path} | environment,
            timeout=300,
        )

    return call


def run(kasmina: Kasmina, out: Path, *arguments: str, **environment: str) -> Done:
    return kasmina("run", "--epochs", "3", "--device", "cpu", "--out", str(out), *arguments, **environment)


def refused(done: Done, status: int, *parts: str) -> None:
    """It failed with one sentence that holds these parts."""
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kasmina: "), done.stderr
    for part in parts:
        assert part in lines[0]


def test_all_are_listed_and_none_is_imported(kasmina: Kasmina) -> None:
    done = kasmina("plugins", "--json")
    assert done.returncode == 0 and done.stderr == ""
    listed = {(plugin["distribution"], plugin["name"]): plugin["state"] for plugin in json.loads(done.stdout)}
    assert listed["stranger-broken", "broken"] == "ready"
    assert listed["stranger-twin", "twin"] == listed["stranger-other-twin", "twin"] == "duplicate"


def test_help_survives_a_broken_command(kasmina: Kasmina) -> None:
    done = kasmina("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "from stranger-broken 0.3" in done.stdout and "run " in done.stdout
    refused(kasmina("broken"), 1, "the command 'broken' of stranger-broken 0.3 cannot be loaded")


def test_missing_name(kasmina: Kasmina, tmp_path: Path) -> None:
    sentence = "no controller is called 'raise'; did you mean raises"
    refused(run(kasmina, tmp_path / "out", "--controller", "raise"), 2, sentence, "'kasmina plugins' lists them")
    assert not (tmp_path / "out").exists()


def test_failing_import(kasmina: Kasmina, tmp_path: Path) -> None:
    parts = [
        "'broken' of stranger-broken 0.3",
        "stranger_broken:Broken",
        "ModuleNotFoundError: No module named 'a_client",
    ]
    refused(run(kasmina, tmp_path / "out", "--controller", "broken"), 1, *parts)
    refused(kasmina("plugins", "show", "broken", "--kind", "controller"), 1, *parts)


def test_two_distributions_of_one_name(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--controller", "twin")
    refused(done, 2, "stranger-other-twin 2.0 and stranger-twin 1.0", "stranger-other-twin:twin or stranger-twin:twin")
    assert kasmina("plugins", "show", "stranger-twin:twin").returncode == 0
    assert kasmina("plugins", "show", "twin", KASMINA_DISABLE_PLUGINS="stranger-twin").returncode == 0


def test_a_full_name_chooses(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--controller", "stranger-twin:twin")
    assert done.returncode == 0, done.stderr


def test_disabled(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--controller", "raises", KASMINA_DISABLE_PLUGINS="stranger-raises:raises")
    refused(done, 2, "'raises'", "stranger-raises", "KASMINA_DISABLE_PLUGINS=stranger-raises:raises")


def test_wrong_hook_argument(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--logger", "arguments")
    refused(
        done, 1, "'arguments' of stranger-arguments 1.0", "stranger_arguments.py:12) with metric;", "metrics and step"
    )


def test_wrong_answer(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--controller", "answers")
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    for part in ("'answers' of stranger-answers 1.0", "propose_germination", "(str)", "due is a Proposal or None"):
        assert part in sentence


def test_a_logger_that_raises_is_switched_off_and_the_run_goes_on(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--logger", "raises")
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "'raises' of stranger-raises 1.0" in line]
    assert len(warnings) == 1
    assert "log_metrics: OSError: the disk is full (line 23 of stranger_raises.py)" in warnings[0]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "finished"


def test_a_controller_that_raises_stops_the_run_with_everything_saved(kasmina: Kasmina, tmp_path: Path) -> None:
    done = run(kasmina, tmp_path / "out", "--controller", "raises")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith(
        "kasmina: the controller 'raises' of stranger-raises 1.0 failed in propose_germination: "
    )
    assert "LookupError: no rule for this site" in sentence
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "failed"
    assert any((tmp_path / "out" / "checkpoints").iterdir())
