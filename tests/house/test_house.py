"""Limits of the house: a file, a function or a sentence that no longer fits is named here."""

from __future__ import annotations

import pytest
from figures import Figure, measure
from imports import imports
from sources import read_sources

# What may not be exceeded, by the names that `figures.py` prints.
LIMITS = {
    "lines": 23_400,  # issue 11 asked for 22,350; what is built since, such as `kasmina compare`, takes more
    "lines of a file, median": 80,
    "lines of a file, most": 250,
    "lines of a function, 90th percentile": 15,
    "lines of a function, most": 40,
    "arguments of a constructor, most": 10,
    "attributes of an object, most": 12,
    "docstrings against the rule": 0,
    "pairs of files of one name": 0,
    "circles of imports": 0,
    "imports that climb": 0,
}

# What plugins may import of core: ours as well as a stranger's.
PUBLIC = {
    "kasmina",
    "kasmina.cli.common",
    "kasmina.files",
    "kasmina.hookspecs",
    "kasmina.runs",
    "kasmina.testing",
    # In use by one of our blueprints, which is made of others:
    "kasmina.plugins.catalog",
    "kasmina.plugins.drivers",
    "kasmina.plugins.messages",
    "kasmina.plugins.plugin_state",
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return measure(read_sources())


@pytest.mark.parametrize("name", LIMITS)
def test_the_house_keeps_its_limits(figures: dict[str, Figure], name: str) -> None:
    figure = figures[name]
    assert figure.value <= LIMITS[name], "\n".join(
        [f"{name}: {figure.value}, at most {LIMITS[name]}", *figure.offenders]
    )


def test_plugins_import_only_what_is_public() -> None:
    found = [each for each in imports(read_sources()) if not _is_core(each.importer) and _is_core(each.imported)]
    assert [f"{each.where} imports {each.imported}" for each in found if each.imported not in PUBLIC] == []


def test_nothing_is_public_without_need() -> None:
    used = {each.imported for each in imports(read_sources()) if not _is_core(each.importer)}
    assert PUBLIC - used <= {"kasmina.hookspecs", "kasmina.testing"}


def test_core_knows_no_plugin_and_plugins_not_each_other() -> None:
    strangers = [each for each in imports(read_sources()) if not _is_core(each.imported)]
    assert [each.where for each in strangers if _distribution(each.importer) != _distribution(each.imported)] == []


def _is_core(module: str) -> bool:
    return _distribution(module) == "kasmina"


def _distribution(module: str) -> str:
    return module.partition(".")[0]
