"""A tool has one version, wherever it is asked for; a distribution's lowest versions are told once."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOOKS = ".pre-commit-config.yaml"
FILES = ("kasmina-*", "examples/*", "kasmina-core/src/kasmina/templates/*")


def test_hooks_and_sessions_run_the_same_tools() -> None:
    pins = [set(re.findall(r"[\w-]+==[\w.]+", (ROOT / name).read_text())) for name in ("noxfile.py", HOOKS)]
    assert pins[1] and pins[1] <= pins[0]


def test_requirements_pin_the_torch_of_the_sessions() -> None:
    (pin,) = re.findall(r"^torch==.*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert f'"{pin}"' in (ROOT / "noxfile.py").read_text()


def test_all_distributions_declare_the_same_lowest_version() -> None:
    lowest = defaultdict(set)
    for file in (file for folder in FILES for file in ROOT.glob(f"{folder}/pyproject.toml")):
        for wanted in tomllib.loads(file.read_text())["project"]["dependencies"]:
            lowest[re.split(r"[^\w-]", wanted)[0]].add(wanted)
    assert {name: versions for name, versions in lowest.items() if len(versions) > 1} == {}
