"""The README's commands and the examples work as they stand."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def commands() -> list[str]:
    """Every command line of the README that begins with `kasmina`, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [part for line in lines for part in line.split(" && ") if part.startswith("kasmina ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    wine = load_wine()
    with (folder / "wine.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*wine.feature_names, "cultivar"])
        rows.writerows([*x, wine.target_names[y]] for x, y in zip(wine.data, wine.target, strict=True))
    return folder


def test_the_readme_has_commands():
    assert commands()[0] == "kasmina run"
    assert len(commands()) > 6


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme(command, folder):
    result = subprocess.run([BIN / "kasmina", *command.split()[1:]], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not result.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example(path, tmp_path):
    result = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
