"""The README's commands and the examples work as they stand."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from sklearn.datasets import load_wine
from torch import nn

import kasmina
from kasmina.testing import Check, blueprint_checks, controller_checks

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


WORDS = ("kasmina ", "sed ", "pip install ./kasmina-sine")


def commands() -> list[str]:
    """Every command line of the README that begins with `kasmina`, in order, and those that write a plugin with it."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [part for line in lines for part in line.split(" && ") if part.startswith(WORDS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    wine = load_wine()
    with (folder / "wine.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*wine.feature_names, "cultivar"])
        rows.writerows([*x, wine.target_names[y]] for x, y in zip(wine.data, wine.target, strict=True))
    return folder


def test_the_readme_has_commands() -> None:
    assert commands()[0] == "kasmina run"
    assert len(commands()) > 6


WAITS = "kasmina: mlflow: sending what is left;"
"""What is said if it takes more than a second."""
LASTING = ("kasmina ui", "kasmina serve")
"""They go on until Ctrl-C."""


def test_the_commands_of_the_readme(folder: Path, subtests: pytest.Subtests) -> None:
    """One after the other, in one folder: each may use what those before it left."""
    for command in commands():
        with subtests.test(command):
            lasts(command, folder) if command.startswith(LASTING) else ends(command, folder)


def ends(command: str, folder: Path) -> None:
    """It does what it is there for, and has nothing to complain of."""
    program, *words = shlex.split(command)
    installed = folder / "installed"  # beside the environment, which others use
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    calls: dict[str, list[str | Path]] = {
        "kasmina": [BIN / "kasmina", *words],
        "sed": ["sed", *words],
        "pip": [sys.executable, "-m", "pip", *words, "--target", installed, "-q", "--no-deps", "--no-build-isolation"],
    }
    result = subprocess.run(
        calls[program], cwd=folder, env=surroundings(command, PYTHONPATH=path), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not result.stderr or result.stderr.startswith(WAITS) and result.stderr.count("\n") == 1


def surroundings(command: str, **more: str) -> dict[str, str]:
    """What MLflow uses of its own libraries is deprecated now and then, and no fault of ours."""
    foreign = command.split()[1] in ("models", "promote", "serve", "ui")
    return {name: value for name, value in os.environ.items() if not foreign or name != "PYTHONWARNINGS"} | more


def lasts(command: str, folder: Path) -> None:
    """It says where it is to be found, is there, answers as the README says, and ends quietly."""
    call: list[str | Path] = [BIN / "kasmina", *command.split()[1:]]
    environment, pipe = surroundings(command, PYTHONUNBUFFERED="1"), subprocess.PIPE
    with subprocess.Popen(call, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout and process.stderr
        said: list[str] = []
        for line in process.stdout:  # until the last line before it waits
            said += re.findall(r"http://127\.0\.0\.1:\d+", line)
            if "Ctrl-C" in line:
                break
        for address in said:
            assert (
                urllib.request.urlopen(f"{address}/health" if "serve" in command else address, timeout=60).status == 200
            )
        if "serve" in command:
            assert json.loads(asked(said[0]))["predictions"][0]["prediction"] in ("0", "1")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        error = process.stderr.read()
    assert said and process.returncode == 0, error
    assert not error


def asked(address: str) -> bytes:
    """What the README's curl gets."""
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("curl ")]
    _, _, header, _, body, url = shlex.split(line)
    request = urllib.request.Request(f"{address}/{url.rsplit('/')[-1]}", body.encode(), dict([header.split(": ")]))
    content: bytes = urllib.request.urlopen(request, timeout=60).read()
    return content


def test_a_plugin_is_written_edited_installed_checked_and_run() -> None:
    """Five commands, and the one line that is edited is in the template."""
    first = next(number for number, command in enumerate(commands()) if command.startswith("kasmina new"))
    new, edit, install, check, run = commands()[first : first + 5]
    assert (new, install) == ("kasmina new blueprint sine", "pip install ./kasmina-sine")
    assert (check, run) == ("kasmina check blueprint sine", "kasmina run --blueprint sine")
    old, _ = edit.split("/")[1:3]
    source = (
        Path(kasmina.__file__).parent / "templates/blueprint/src/kasmina_sprout_blueprint/__init__.py"
    ).read_text()
    assert [line.endswith("sin") for line in source.splitlines() if old in line] == [True]


def plugin_checks() -> list[Check]:
    """The checks of the plugins that the README shows whole."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shown = vars(kasmina) | {"attrs": attrs, "nn": nn}
    for block in blocks:
        if block.startswith("@attrs.define"):
            exec(block, shown)
    return blueprint_checks(shown["Narrow"], units=2) + controller_checks(shown["Early"])


@pytest.mark.parametrize("check", plugin_checks())
def test_a_plugin_of_the_readme_keeps_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example(path: Path, tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
