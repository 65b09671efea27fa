"""The protocols of plugins: mypy reads the assignments below, and pytest that the installed plugins keep them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from subprocess import run
from typing import Any

import attrs
import pytest
from torch import nn

from kasmina import Blueprint, Data, Host, Logger, SelectiveBlueprint, Site, Stateful, Task
from kasmina.hosts.cnn import CNN
from kasmina.hosts.mlp import MLP
from kasmina.hosts.transformer import Transformer
from kasmina.tasks.digits import Digits
from kasmina.tasks.moons import Moons
from kasmina.tasks.spirals import Spirals

HOSTS: list[Host] = [MLP(), CNN(), Transformer()]
TASKS: list[Task] = [Spirals(), Moons(), Digits()]


@attrs.define(eq=False)
class Everything:
    """Plugin with every method that a plugin may have."""

    def build(self, site: Site) -> nn.Module:
        return nn.Linear(site.in_features, site.out_features)

    def fits(self, site: Site) -> str | None:
        return None

    def prepare(self) -> None:
        pass

    def load(self) -> Data:
        return Spirals().load()

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


BLUEPRINT: Blueprint = Everything()
SELECTIVE: SelectiveBlueprint = Everything()
LOGGER: Logger = Everything()
STATEFUL: Stateful = Everything()


@pytest.mark.parametrize("plugin", HOSTS, ids=lambda plugin: type(plugin).__name__)
def test_hosts_are_hosts_and_no_tasks(plugin: Host) -> None:
    assert isinstance(plugin, Host) and not isinstance(plugin, Task)


@pytest.mark.parametrize("plugin", TASKS, ids=lambda plugin: type(plugin).__name__)
def test_tasks_are_tasks_and_no_hosts(plugin: Task) -> None:
    assert isinstance(plugin, Task) and not isinstance(plugin, Host)


def test_what_is_missing_is_seen() -> None:
    assert isinstance(Everything(), SelectiveBlueprint) and isinstance(Everything(), Stateful)
    assert not isinstance(MLP(), SelectiveBlueprint | Stateful | Logger)


def test_the_types_need_no_torch() -> None:
    code = "import sys, kasmina; kasmina.Blueprint, kasmina.Stateful; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
